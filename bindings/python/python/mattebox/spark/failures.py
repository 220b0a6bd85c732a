"""The causes of failures, in one place: wrong settings, a service that does not answer, or a
failure that passes.

Each failure gets an exit code and one line of text, or another try.
"""

from __future__ import annotations

import os
import re
import traceback
from dataclasses import dataclass
from typing import Any

# The longest reason, in characters.
MAX_REASON = 500
# The longest chain of causes that is followed.
MAX_CAUSES = 20


class JobError(Exception):
    """The job ends; the message is the reason."""

    exit_code = 1


class SettingsError(JobError):
    """A setting cannot be used."""

    exit_code = 2


class Unreachable(JobError):
    """No broker answered in time."""

    exit_code = 3


class Denied(JobError):
    """The broker does not allow the job to do something that it must do."""


class TopicGone(JobError):
    """The topic was deleted while the job ran."""


class Stopped(JobError):
    """A signal came during a wait."""

    exit_code = 130


@dataclass(frozen=True)
class Failure:
    """The meaning of an exception for the job."""

    reason: str
    exit_code: int
    # Whether the same may succeed later.
    is_passing: bool


@dataclass(frozen=True)
class _Cause:
    """One exception of a chain: its class, the simple names of the class and its superclasses, and
    its message.
    """

    kind: str
    names: frozenset[str]
    text: str

    @property
    def words(self) -> str:
        """The first line of the message that is not blank, as a sentence: it is never empty."""
        line = next((line.strip() for line in self.text.splitlines() if line.strip()), "")
        if not line:
            return f"{self.kind} without a message"
        # Some messages are no more than the name of a file or class.
        return line if " " in line else f"{_spoken(self.kind)}: {line}"


def _spoken(kind: str) -> str:
    """A class in words: ``java.nio.file.NoSuchFileException`` is "no such file"."""
    name = re.split(r"[.$]", kind)[-1]
    return (
        re.sub(r"(?<=[a-z0-9])(?=[A-Z])", " ", re.sub(r"(?<=.)Exception$", "", name)).lower()
        or kind
    )


@dataclass(frozen=True)
class _Rule:
    """A failure that is known by the name of its class, and by words of its chain if a class has
    several meanings.

    A class without a rule ends the job before the query has run, and passes afterwards.
    """

    name: str
    exit_code: int
    # The problem and its remedy. {} stands for the exception's message.
    sentence: str
    words: tuple[str, ...] = ()
    # Whether it ends a query that has run before. Executors report failures as text only, so the
    # class must not appear in the text of other failures.
    ends_query: bool = False

    def fits(self, names: frozenset[str], text: str) -> bool:
        return self.name in names and (not self.words or any(words in text for words in self.words))


_TRUST = (
    "--kafka-option ssl.truststore.type=PEM --kafka-option ssl.truststore.location=/PATH/ca.pem"
)
_KEY = "--kafka-option ssl.keystore.type=PEM --kafka-option ssl.keystore.location=/PATH/client.pem"
# The first rule that fits counts.
_RULES = (
    _Rule("SettingsException", 2, "{}", ends_query=True),
    _Rule(
        "SslAuthenticationException",
        1,
        "TLS: no authority that this machine trusts has signed the broker's certificate: give "
        f"the broker's CA ({_TRUST})",
        ("PKIX path", "valid certification path"),
    ),
    _Rule(
        "SslAuthenticationException",
        1,
        "TLS: the broker's certificate is for another name ({}): use in --kafka, and in the "
        "broker's advertised.listeners, a name that is in it",
        ("No subject alternative", "No name matching", "doesn't match"),
    ),
    _Rule(
        "SslAuthenticationException",
        1,
        "TLS: the broker's certificate is not valid today ({}): renew it, or set the clock",
        ("NotAfter", "NotBefore"),
    ),
    _Rule(
        "SslAuthenticationException",
        1,
        f"TLS: the broker wants another client certificate, or one at all ({{}}): give it ({_KEY})",
        ("fatal alert",),
    ),
    _Rule(
        "SslAuthenticationException",
        1,
        "TLS: the broker and this machine do not agree ({}): check the ssl.* of --kafka-option",
    ),
    _Rule(
        "SaslAuthenticationException",
        1,
        "the broker refuses the user or the password ({}): check sasl.jaas.config and "
        "sasl.mechanism (--kafka-option)",
    ),
    _Rule(
        "AuthenticationException",
        1,
        "the broker takes no such login here ({}): check security.protocol and sasl.mechanism "
        "(--kafka-option)",
    ),
    _Rule(
        "TopicAuthorizationException",
        1,
        "{}: give the job's user READ on --topic, and WRITE on the topics of results and dead "
        "letters",
        ends_query=True,
    ),
    _Rule(
        "AuthorizationException",
        1,
        "{}: the broker's access lists do not allow it: change them, or use another user",
        ends_query=True,
    ),
    _Rule("ConfigException", 2, "{}: check --kafka and --kafka-option", ends_query=True),
    _Rule("InvalidConfigurationException", 2, "{}: check --kafka-option"),
    _Rule(
        "UnsupportedFileSystemException",
        2,
        "{}: Spark has no such file system: give --checkpoint a path, or Spark the jars of that "
        "file system",
        ends_query=True,
    ),
    _Rule(
        "UnsatisfiedLinkError",
        1,
        "{}: use the wheel that was built for the executors' machines",
        ends_query=True,
    ),
    _Rule(
        "UnsupportedClassVersionError",
        1,
        "{}: the executors need Java 17 or newer",
        ends_query=True,
    ),
    _Rule(
        "ClassNotFoundException",
        2,
        "{}: a jar is missing on Spark's class path: see --jars and --packages",
    ),
    _Rule(
        "IllegalArgumentException",
        2,
        "{}: with SASL give --kafka-option sasl.mechanism=PLAIN, or SCRAM-SHA-512",
        ("No serviceName defined",),
    ),
    _Rule("ParseException", 2, "{}"),
    _Rule("AnalysisException", 2, "{}", ends_query=True),
    _Rule("IllegalArgumentException", 2, "{}"),
    _Rule("UnsupportedOperationException", 2, "{}"),
)
# One of the classes above has these words if a name may be known later, such as the name of a
# container that is about to start.
_UNKNOWN_HOST = "No resolvable bootstrap urls"
# Failures that are known by words alone.
_KNOWN_WORDS = {
    "Could not parse Master URL": (": check --master", 2),
    "JAVA_GATEWAY_EXITED": (
        " Is Java 17 or newer here, and can the jars of --packages be fetched?",
        1,
    ),
    "No module named 'pyspark": (": install it with pip install 'pyspark==4.2.*'", 1),
}
# Exceptions that only a mistake in this program raises.
_FAULTS = (TypeError, AttributeError, LookupError, NameError, AssertionError, ValueError)
# A Java class and its message, within a stack trace.
_THROWN = re.compile(r"(?:[\w$]+\.)+([\w$]*(?:Exception|Error|Failure))\b(?:: *(.*))?")

_ATTEMPT = re.compile(
    r"^.*(?:terminated with exception: "
    r"|most recent failure: (?:Lost task \S+ in stage \S+ \(TID \d+\) )?)"
)


def of_start(error: BaseException) -> Failure:
    """The meaning of a failure before the query runs."""
    if isinstance(error, JobError):
        return Failure(str(error) or sentence(error), error.exit_code, False)
    causes = _causes(error)
    if any(_UNKNOWN_HOST in cause.text or "RetriableException" in cause.names for cause in causes):
        return Failure(sentence(error), 3, True)
    # Inner causes are more precise, so the innermost one with a rule counts.
    text = "\n".join(cause.text for cause in causes)
    for cause in reversed(causes):
        for rule in _RULES:
            if rule.fits(cause.names, text):
                # For TLS, the last cause has the reason.
                said = (
                    causes[-1]
                    if cause.names & {"AuthenticationException", "InvalidConfigurationException"}
                    else cause
                )
                return Failure(_filled(rule, said.words), rule.exit_code, False)
    words = sentence(error)
    for known, (advice, exit_code) in _KNOWN_WORDS.items():
        if known in words:
            return Failure(f"{words}{advice}", exit_code, False)
    if isinstance(error, _FAULTS):
        last = traceback.extract_tb(error.__traceback__)[-1:]
        where = "".join(f" ({os.path.basename(frame.filename)}:{frame.lineno})" for frame in last)
        return Failure(
            f"a fault of mattebox, please report it: {type(error).__name__}: {words}{where}",
            1,
            False,
        )
    return Failure(words, 1, False)


def of_query(error: Any) -> Failure:
    """The meaning of the end of a running query: another try from its checkpoint, unless a person
    must change something.
    """
    if isinstance(error, JobError):
        return Failure(
            str(error) or sentence(error), error.exit_code, isinstance(error, Unreachable)
        )
    causes = _causes(error)
    text = "\n".join(f"{cause.kind}: {cause.text}" for cause in causes)
    names = frozenset().union(*(cause.names for cause in causes))
    # Executors send text only, in which a class stands with its package.
    thrown = [(found[1], found[2]) for found in _THROWN.finditer(text)]
    names |= {name for name, _ in thrown}
    if any(name.endswith("AuthorizationException") for name in names):
        names |= {"AuthorizationException"}
    for rule in _RULES:
        if rule.ends_query and rule.fits(names, text) and _UNKNOWN_HOST not in text:
            said = [words for name, words in thrown if words and name.endswith(rule.name)]
            return Failure(
                _filled(rule, said[-1].strip() if said else _line(text)), rule.exit_code, False
            )
    return Failure(_line(text), 1, True)


def _filled(rule: _Rule, words: str) -> str:
    return rule.sentence.replace("{}", words[:MAX_REASON].rstrip("."))


def sentence(error: Any) -> str:
    """One line about any exception, of Python or of Java. It is never empty, and never raises."""
    return _causes(error)[-1].words[:MAX_REASON]


def is_of(error: Any, name: str) -> bool:
    """Whether an exception, or one of its causes, is of a class with this simple name."""
    return any(name in cause.names for cause in _causes(error))


def _text(error: Any) -> str:
    """An exception's message, or an empty text."""
    try:
        return str(error)
    except Exception:
        return ""


def _causes(error: Any) -> list[_Cause]:
    """The chain of causes, the outermost first. An exception of Python is alone."""
    throwable = error
    if isinstance(error, BaseException):
        throwable = getattr(error, "java_exception", None) or getattr(error, "_origin", None)
    if throwable is None:
        kinds = [kind.__name__ for kind in type(error).__mro__]
        return [_Cause(kinds[0], frozenset(kinds), _text(error))]
    found: list[_Cause] = []
    try:
        while throwable is not None and len(found) < MAX_CAUSES:
            kind, names = throwable.getClass(), []
            name = str(kind.getName())
            while kind is not None:
                names.append(str(kind.getSimpleName()))
                kind = kind.getSuperclass()
            found.append(_Cause(name, frozenset(names), throwable.getMessage() or ""))
            throwable = throwable.getCause()
    except Exception as lost:  # Java has ended, and the message is lost
        found = found or [
            _Cause(type(lost).__name__, frozenset([type(lost).__name__]), "Java has ended")
        ]
    return found


def _line(text: str) -> str:
    """The most telling line of a Java stack trace."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    causes = [line for line in lines if line.startswith("Caused by:") or _THROWN.search(line)]
    ours = [line for line in causes if "io.mattebox.spark." in line]
    found = (ours or causes[-1:] or lines[:1] or ["it gave no reason"])[-1].removeprefix(
        "Caused by: "
    )
    # Without Spark's text around it: the job, the task, the function. The executor's address stays.
    found = _ATTEMPT.sub("", found)
    at = found.find("io.mattebox.spark.")
    return (found if at < 0 else found[at:].partition(": ")[2] or found)[:MAX_REASON]
