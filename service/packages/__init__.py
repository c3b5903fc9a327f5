"""Travel packages: `/api/packages`."""

from service.content import Image, Line, Lines, Paragraphs, make_blueprint
from service.fields import Flag, FormInteger, FormNumber, Schema


class PackageSchema(Schema):
    """The price is per guest, in currency units; the duration in days."""

    title = Line(required=True, min=1)
    description = Paragraphs()
    price = FormNumber(required=True, max=9_999_999.99)
    duration = FormInteger(min=1, max=365, allow_none=True)
    image = Image()
    destinations = Lines()
    featured = Flag()
    rating = FormNumber(max=5, allow_none=True)
    accommodations = Paragraphs()
    included = Lines()
    excluded = Lines()


blueprint = make_blueprint("packages", __name__, PackageSchema, noun="Package")
