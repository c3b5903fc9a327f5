"""What travellers say: `/api/testimonials`."""

from marshmallow import validate

from service.api import Answer
from service.content import Content, Image, Line, Paragraphs, Rating, answer_schemas, make_blueprint
from service.fields import Changes, Day, Schema
from service.guards import staff_required

STATUSES = ("published", "pending", "rejected")


class TestimonialSchema(Schema):
    name = Line(required=True, min=1)
    avatar = Image()
    image = Image()
    location = Line()
    rating = Rating(required=True)
    message = Paragraphs(required=True, min=1)
    status = Line(validate=validate.OneOf(STATUSES, error=f"Must be one of {', '.join(STATUSES)}."))
    date = Day(allow_none=True)


blueprint = make_blueprint("testimonials", __name__, TestimonialSchema, noun="Testimonial")


@blueprint.patch("/<testimonial_id>/approve")
@staff_required("testimonials_approve")
@blueprint.response(200, answer_schemas(TestimonialSchema, "Testimonial")[1])
def approve(testimonial_id: str) -> Answer:
    """Publish one"""
    published: Changes = {"status": "published"}
    return {"success": True, "data": Content("testimonials", "Testimonial").update(testimonial_id, published)}
