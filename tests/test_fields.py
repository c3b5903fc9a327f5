"""The forms that input may have."""

import string

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from marshmallow import ValidationError

from service.fields import EmailAddress, Flag


@settings(max_examples=150, deadline=None)
@given(st.one_of(st.text(max_size=40), st.emails(), st.text(string.printable, max_size=20).map(lambda t: f"{t}@x.io")))
def test_an_address_that_passes_fits_a_mail_header_and_the_column(text: str):
    try:
        address = EmailAddress().deserialize(text)
    except ValidationError:
        return
    assert address == address.lower() and len(address) <= 254 and address.isascii() and address.count("@") >= 1
    assert not any(ord(character) < 32 for character in address)
    assert EmailAddress().deserialize(address) == address


@pytest.mark.parametrize(("value", "flag"), [(True, True), (False, False), ("true", True), ("false", False)])
def test_true_and_false_are_json_or_the_text_of_a_form(value: object, flag: bool):
    assert Flag().deserialize(value) is flag


@pytest.mark.parametrize("value", [0, 1, "1", "yes", "True", "", [], {}, None])
def test_what_merely_resembles_true_and_false_is_refused(value: object):
    with pytest.raises(ValidationError):
        Flag().deserialize(value)
