"""Destinations: `/api/destinations`."""

from service.content import Image, Line, Lines, Measure, Paragraphs, make_blueprint
from service.fields import Flag, FormNumber, Schema


class DestinationSchema(Schema):
    name = Line(required=True, min=1)
    region = Line()
    description = Paragraphs()
    image = Image()
    featured = Flag()
    altitude = Measure()
    best_season = Line()
    distance = Measure()
    average_temperature = Measure()
    accommodation = Line()
    difficulty = Line()
    attractions = Lines()
    activities = Lines()
    best_for = Lines()
    latitude = FormNumber(min=-90, max=90, allow_none=True)
    longitude = FormNumber(min=-180, max=180, allow_none=True)


blueprint = make_blueprint("destinations", __name__, DestinationSchema, noun="Destination")
