"""Pictures of the gallery: `/api/gallery`."""

from service.content import Image, Line, Paragraphs, make_blueprint
from service.fields import Schema


class PictureSchema(Schema):
    title = Line(required=True, min=1)
    location = Line()
    image = Image()
    description = Paragraphs()
    image_url = Image()
    category = Line()


blueprint = make_blueprint("gallery", __name__, PictureSchema, noun="Picture")
