"""Destinations: `/api/destinations`."""

from service.content import Image, Line, Lines, Measure, Paragraphs, make_blueprint
from service.fields import Flag, FormInteger, FormNumber, Schema


class DestinationSchema(Schema):
    """Altitude in metres, distance in km from the nearest city, latitude and longitude in degrees."""

    name = Line(required=True, min=1)
    region = Line()
    description = Paragraphs()
    image = Image()
    featured = Flag()
    altitude = FormInteger(min=-500, max=9000, allow_none=True)
    best_season = Line()
    distance = FormInteger(max=50_000, allow_none=True)
    average_temperature = Measure()
    accommodation = Line()
    difficulty = Line()
    attractions = Lines()
    activities = Lines()
    best_for = Lines()
    latitude = FormNumber(min=-90, max=90, allow_none=True)
    longitude = FormNumber(min=-180, max=180, allow_none=True)


blueprint = make_blueprint("destinations", __name__, DestinationSchema, noun="Destination")
