"""What a password may be."""

from hypothesis import given, settings
from hypothesis import strategies as st
from marshmallow import ValidationError

from service.passwords import NewPassword


@settings(max_examples=150, deadline=None)
@given(st.text(max_size=100))
def test_a_password_passes_exactly_by_the_rules(text: str):
    try:
        size = len(text.encode())
    except UnicodeEncodeError:
        size = 1000
    is_fine = len(text) >= 8 and size <= 72 and "\0" not in text
    try:
        assert NewPassword().deserialize(text) == text
        assert is_fine
    except ValidationError as error:
        assert not is_fine or "common" in error.messages[0]
