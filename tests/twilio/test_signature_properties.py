"""A request signed by the package is accepted; any change to it is refused."""

from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import urlencode, urlsplit

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from starlette.datastructures import Headers
from twilio.request_validator import RequestValidator

from amd_service.domain import AccountSid
from amd_service.errors import InvalidSignature
from amd_service.twilio.callbacks import parse_form
from amd_service.twilio.signature import SignedForm, verify
from tests.support.signed import ACCOUNTS, MAIN, PUBLIC_URL, Pairs, canonical, check, signature

WORDS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=12)
TEXT = WORDS | st.sampled_from(["", " ", " a", "a ", "+", "%2B", "+1 2", "a&b=c", "é", "é"])
NAMES = TEXT.filter(lambda name: name != "AccountSid")
FORMS = st.lists(st.tuples(NAMES, TEXT), max_size=8).map(lambda pairs: (("AccountSid", str(MAIN)), *pairs))
PATH_TEXT = st.text("abcXYZ019-._~%/:@!$&'()*+,=", max_size=12)
QUERY_TEXT = st.text("abcXYZ019-._~%+=&/?:@;", max_size=20).filter(lambda query: "bodySHA256" not in query)
HOSTS = st.from_regex(r"[a-z][a-z0-9-]{0,8}(\.[a-z]{2,4}){1,2}", fullmatch=True)
PORTS = st.none() | st.integers(1, 65535)


@dataclass(frozen=True)
class Signed:
    """A request with the parts of its URL, as configured at Twilio."""

    scheme: str
    host: str
    port: int | None
    prefix: str
    path: str
    query: str
    form: Pairs

    @property
    def public_url(self) -> str:
        port = "" if self.port is None else f":{self.port}"
        return f"{self.scheme}://{self.host}{port}{self.prefix}"

    @property
    def url(self) -> str:
        return f"{self.public_url}/{self.path}" + (f"?{self.query}" if self.query else "")

    @property
    def portless_url(self) -> str:
        return replace(self, port=None).url

    @property
    def text(self) -> str:
        """The signed text without the port. It joins URL, names and values, so two requests can have the same text."""
        return self.portless_url + canonical(self.form)


REQUESTS = st.builds(
    Signed,
    scheme=st.sampled_from(["http", "https"]),
    host=HOSTS,
    port=PORTS,
    prefix=st.sampled_from(["", "/amd", "/a%20b/c"]),
    path=PATH_TEXT,
    query=QUERY_TEXT,
    form=FORMS,
)


def sign(request: Signed, *, with_port: bool = True, token: str = "new-token") -> str:
    url = request.url if with_port else request.portless_url
    return str(RequestValidator(token).compute_signature(url, SignedForm(request.form)))


def receive(request: Signed, signed: str) -> AccountSid:
    """Verify the request in a service that is configured with the public URL of the request."""
    return check(
        request.form,
        signed=signed,
        public_url=request.public_url,
        path=f"/{request.path}".encode(),
        query=request.query.encode(),
    ).account_sid


@settings(deadline=None)
@given(request=REQUESTS, with_port=st.booleans(), token=st.sampled_from(["new-token", "old-token", "ie1-token"]))
def test_a_request_signed_by_the_package_is_accepted(request: Signed, with_port: bool, token: str) -> None:
    assert receive(request, sign(request, with_port=with_port, token=token)) == MAIN


@settings(deadline=None)
@given(form=FORMS)
def test_a_form_is_unchanged_after_encoding_and_parsing(form: Pairs) -> None:
    assert parse_form(urlencode(form).encode()) == tuple(form)


@settings(deadline=None)
@given(request=REQUESTS, data=st.data())
def test_any_change_to_the_url_is_refused(request: Signed, data: st.DataObject) -> None:
    part = data.draw(st.sampled_from(["scheme", "host", "prefix", "path", "query"]))
    strategies: dict[str, st.SearchStrategy[Any]] = {
        "scheme": st.sampled_from(["http", "https"]),
        "host": HOSTS | st.just(request.host + ".evil.example"),
        "prefix": st.sampled_from(["", "/amd", "/a%20b/c", "/a b/c", "/amd/"]),
        "path": st.one_of(PATH_TEXT, _edited(request.path)),
        "query": st.one_of(QUERY_TEXT, _edited(request.query), st.just("&".join(request.query.split("&")[::-1]))),
    }
    changed = replace(request, **{part: data.draw(strategies[part])})
    assume(changed.text != request.text)
    with_port = data.draw(st.booleans())
    with pytest.raises(InvalidSignature):
        receive(request, sign(changed, with_port=with_port))


def _edited(text: str) -> st.SearchStrategy[str]:
    """The text with one character added, removed, or in another case."""
    at = st.integers(0, len(text))
    return st.one_of(
        at.map(lambda i: text[:i] + "/" + text[i:]),
        at.map(lambda i: text[:i] + text[i + 1 :]),
        at.map(lambda i: text[:i] + text[i:].swapcase()),
    )


@settings(deadline=None)
@given(request=REQUESTS, data=st.data())
def test_any_change_to_the_parameters_is_refused(request: Signed, data: st.DataObject) -> None:
    changed = replace(request, form=(request.form[0], *data.draw(_changed(request.form[1:]))))
    assume(canonical(changed.form) != canonical(request.form))
    with pytest.raises(InvalidSignature):
        receive(changed, sign(request))


@st.composite
def _changed(draw: st.DrawFn, form: Pairs) -> Pairs:
    """The parameters with one added, removed, renamed or changed, or text moved between a name and its value."""
    at = draw(st.integers(0, max(0, len(form) - 1)))
    before, (name, value), after = form[:at], form[at] if form else ("", ""), form[at + 1 :]
    whole = name + value
    cut = draw(st.integers(0, len(whole)))
    added = (draw(NAMES), draw(TEXT))
    changes: list[Pairs] = [
        (added,),
        (),
        ((draw(NAMES), value),),
        ((name, draw(TEXT)),),
        ((whole[:cut], whole[cut:]),),
        ((name, value), added),
        ((name, value.strip()),),
        ((name, value.replace("+", " ")),),
    ]
    return *before, *(pair for pair in draw(st.sampled_from(changes)) if pair[0] != "AccountSid"), *after


@settings(deadline=None)
@given(request=REQUESTS, other=REQUESTS)
def test_a_signature_is_not_valid_for_another_request(request: Signed, other: Signed) -> None:
    assume(other.text != request.text)
    with pytest.raises(InvalidSignature):
        receive(request, sign(other))


@settings(deadline=None)
@given(target=st.text("ab/?#;&=", max_size=8))
def test_a_target_is_accepted_only_if_exactly_its_url_was_signed(target: str) -> None:
    """True for every request target, except that an empty query makes no difference."""
    path, _, query = f"/{target}".partition("?")
    other = PUBLIC_URL + urlsplit(f"/{target}").path
    assume(other != PUBLIC_URL + path + (f"?{query}" if query else ""))
    form = (("AccountSid", str(MAIN)),)
    with pytest.raises(InvalidSignature):
        check(form, signed=signature(other, form, "new-token"), path=path.encode(), query=query.encode())


@settings(deadline=None)
@given(path=st.binary(max_size=20), query=st.binary(max_size=20), value=st.text(st.characters()), header=st.binary())
def test_arbitrary_requests_raise_only_invalid_signature(path: bytes, query: bytes, value: str, header: bytes) -> None:
    form = (("AccountSid", str(MAIN)), ("CallStatus", value))  # `value` can have lone surrogates
    with pytest.raises(InvalidSignature):
        verify(ACCOUNTS, PUBLIC_URL, path, query, form, Headers(raw=[(b"x-twilio-signature", header)]))
