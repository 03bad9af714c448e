"""Which parts of an address or a header are secrets. They are written `${NAME}` and stand in the environment alone."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote_plus

WITHHELD = "${WITHHELD}"
_NAMED = re.compile(r"(?:\$\{\w+\})+")
# What may stand around a ${NAME} in a header: `Bearer ${NAME}`, `session=${NAME}; other=${OTHER}`
_NAMED_HEADER = re.compile(r'(?:\s*(?:[A-Za-z-]{1,20}\s+)?(?:[\w.-]{1,60}=)?"?(?:\$\{\w+\})+"?[;,]?)+\s*')
# A port is no password, and a password may hold any mark, even @ or / as some drivers allow: it ends at the last @.
_PASSWORD = re.compile(r"://[^/?#@:\s]*:(?!(?:\d+|\$\{\w+\})(?:[/?#]|$))(?P<value>[^/?#\s]*)@")
_ODD_PASSWORD = re.compile(r"://[^/?#@:\s]*:(?!(?:\d+|\$\{\w+\})(?:[?#]|/[^@?#]*(?:[?#]|$)|$))(?P<value>\S*)@")
_USER = re.compile(r"https?://(?P<value>[^/?#@:\s]+):?@")  # over HTTP, a user without a password is a token
_QUERY = re.compile(r"[?&;#](?P<name>[\w.%+-]+)=(?P<value>[^&#;\s]*)")
_INNER = re.compile(r"(?:^|[;\s?&])(?P<name>[\w.-]+)\s*=\s*(?P<value>\{[^}]*\}|[^;\s&]+)")
_HOOKS = re.compile(
    r"https?://(?:hooks\.slack\.com|hooks\.zapier\.com|maker\.ifttt\.com|chat\.googleapis\.com|(?:\w+\.)?discord(?:app)?\.com"
    r"|[\w.-]+\.webhook\.office\.com|outlook\.office(?:365)?\.com)/(?P<value>[^?#\s]+)", re.IGNORECASE,
)  # fmt: skip
_TOKEN_LIKE = re.compile(r"/(?P<value>(?=[\w-]*\d)(?=[\w-]*[A-Za-z])[\w-]{20,})(?=[/?#]|$)")
_HARMLESS = ("pagetoken", "nexttoken", "synctoken", "continuationtoken", "csrftoken", "xsrftoken")
_ANYWHERE = ("password", "passwd", "passphrase", "secret", "credential", "authorization")
_KEYS = ("apikey", "accesskey", "accesskeyid", "secretkey", "subscriptionkey", "authkey", "privatekey", "accountkey", "appkey")
_AT_END = ("token", "signature", *_KEYS)
_WHOLE = ("pwd", "pass", "psw", "pw", "key", "sig", "auth", "jwt", "sid", "sessionid", "cookie", "setcookie", "xauth")


@dataclass(frozen=True, slots=True)
class Secret:
    """A part of a text that is secret and stands there as it is; `name` says what it is, such as `password` or `api_key`."""

    start: int
    end: int
    name: str


def is_secret(name: str) -> bool:
    """Whether a query parameter or a header of this name holds a secret."""
    plain = re.sub(r"[^a-z0-9]", "", unquote_plus(name).lower())
    if plain in _HARMLESS or plain.endswith("pagetoken"):
        return False
    return plain in _WHOLE or plain.endswith(_AT_END) or any(word in plain for word in _ANYWHERE)


def find_secrets(address: str) -> tuple[Secret, ...]:
    """The secrets that an address holds as they are, first to last; none for a plain path."""
    found: list[Secret] = []
    for one in _candidates(address) if "://" in address else ():
        apart = all(one.end <= other.start or one.start >= other.end for other in found)
        if apart and one.start < one.end and not _NAMED.fullmatch(address, one.start, one.end):
            found.append(one)
    return tuple(sorted(found, key=lambda one: one.start))


def _candidates(address: str) -> Iterator[Secret]:
    odd = () if address.startswith(("http://", "https://")) or _PASSWORD.search(address) else _ODD_PASSWORD.finditer(address)
    for match in (*_PASSWORD.finditer(address), *odd):
        yield Secret(match.start("value"), match.end("value"), "password")
    for match in _USER.finditer(address):
        yield Secret(match.start("value"), match.end("value"), "token")
    for match in _QUERY.finditer(address):
        if is_secret(match["name"]):
            yield Secret(match.start("value"), match.end("value"), unquote_plus(match["name"]))
        elif "=" in (inside := unquote_plus(match["value"])):  # a connection string as one parameter
            for inner in _INNER.finditer(inside):
                if is_secret(inner["name"]) and not _NAMED.fullmatch(inner["value"]):
                    yield Secret(match.start("value"), match.end("value"), unquote_plus(match["name"]))


def find_hook_secrets(address: str) -> tuple[Secret, ...]:
    """The same of a webhook, of which a service's path, or a long random part of any path, lets everybody write there."""
    found = list(find_secrets(address))
    for match in (*_HOOKS.finditer(address), *_TOKEN_LIKE.finditer(address)):
        one = Secret(match.start("value"), match.end("value"), "path")
        apart = all(one.end <= other.start or one.start >= other.end for other in found)
        if apart and not _NAMED.search(match["value"]):
            found.append(one)
    return tuple(sorted(found, key=lambda one: one.start))


def is_open_header(name: str, value: str) -> bool:
    """Whether a header holds a secret as it is, and not as `${NAME}`."""
    secret = is_secret(name) or "token" in name.lower() or bool(re.match(r"\s*(bearer|basic)\s", value, re.IGNORECASE))
    return secret and bool(value.strip()) and not _NAMED_HEADER.fullmatch(value)


def refusal(name: str) -> str:
    """The sentence that helps."""
    what = {"password": "a password", "path": "the path of this hook, a secret,"}.get(name, f"the secret in {name}")
    return f"{what} does not belong in a file; write ${{NAME}} and set NAME in the environment"


def withhold(address: str) -> str:
    """The address with its secrets withheld."""
    for one in reversed(find_secrets(address)):
        address = address[: one.start] + WITHHELD + address[one.end :]
    return address


def withhold_hook(address: str) -> str:
    """A webhook as anybody may see it: where it goes, and nothing behind that. A `${NAME}` says nothing and stays."""
    match = re.match(r"https?://(?:[^/?#]*@)?([^/?#]+)", address)
    if match is None or address[match.end() :] in ("", "/"):
        return address if match is None else f"{address.split('://')[0]}://{match[1]}{address[match.end() :]}"
    if re.fullmatch(r"/?(?:\$\{\w+\}/?)+", address[match.end() :]):
        return f"{address.split('://')[0]}://{match[1]}{address[match.end() :]}"
    return f"{address.split('://')[0]}://{match[1]}/{WITHHELD}"


def withhold_definition(definition: Mapping[str, Any]) -> dict[str, Any]:
    """A definition, as it stands in JSON, that every reader may see."""
    source, tell, shown = definition.get("source") or {}, definition.get("tell") or {}, dict(definition)
    if source:
        shown["source"] = {**source, **{key: withhold(source[key]) for key in ("url", "path") if source.get(key)}}
    if source.get("headers"):
        headers = {name: WITHHELD if is_open_header(name, text) else text for name, text in source["headers"].items()}
        shown["source"]["headers"] = headers
    if tell.get("webhook"):
        shown["tell"] = {**tell, "webhook": withhold_hook(tell["webhook"])}
    return shown
