"""Words looked for in JSON text that nobody decodes, in any script.

A word is found as UTF-8 and as the `\\uXXXX` that many clients send in its place. ASCII letters match in either case,
those of other scripts as they are written, in small letters, in capitals and with a capital first. Where a word begins
or ends with an ASCII letter or digit it ends there (`prove` is not in `improve`); elsewhere it may be part of a longer
one, as it must be in scripts without spaces, and as is of use in languages that inflect.
"""

import json
import re
from collections.abc import Iterable, Mapping
from typing import Final

_WORD: Final = frozenset(b"abcdefghijklmnopqrstuvwxyz0123456789_")
_APART: Final = bytes(byte if byte in _WORD else 32 for byte in range(256))
_NEVER = 1 << 30


class Text:
    """JSON text to look for words in, taken apart once."""

    __slots__ = ("has_escapes", "is_ascii", "raw", "tokens")

    def __init__(self, raw: bytes) -> None:
        self.raw = raw.lower()
        """In lower case as far as ASCII goes."""
        self.is_ascii = raw.isascii()
        self.has_escapes = b"\\u" in raw
        plain = self.raw.replace(b"\\n", b" ").replace(b"\\t", b" ").replace(b"\\r", b" ")
        if self.has_escapes:
            plain = _ESCAPED.sub(b" ", plain)
        self.tokens = frozenset(plain.translate(_APART).split())
        """What stands between anything but ASCII letters and digits."""


_ESCAPED: Final = re.compile(rb"(?:\\u[0-9a-f]{4})+")


class Keywords:
    """A set of words, made once and looked for often: single ASCII words at once, any other in 0.5 µs per KiB."""

    __slots__ = ("_escaped", "_phrases", "_tokens", "_utf8", "words")

    def __init__(self, words: Iterable[str]) -> None:
        # What is no text (a lone surrogate) cannot be found in one.
        self.words = tuple(dict.fromkeys(word for word in words if word.encode(errors="ignore").decode() == word != ""))
        plain = {word: _as_json(word.lower()) for word in self.words if word.isascii()}
        self._tokens = {form: word for word, form in plain.items() if _WORD.issuperset(form)}
        self._phrases = [(word, form) for word, form in plain.items() if form not in self._tokens]
        forms = [(word, form) for word in self.words if not word.isascii() for form in _forms(word)]
        self._utf8 = [(word, _as_json(form).lower()) for word, form in forms]
        self._escaped = [(word, json.dumps(form)[1:-1].encode().lower()) for word, form in forms]

    def found(self, text: Text, most: int = _NEVER) -> tuple[str, ...]:
        """Return the words that occur, not more than `most`."""
        found = dict.fromkeys(word for form, word in self._tokens.items() if form in text.tokens)
        spellings = [self._phrases]
        if not text.is_ascii:
            spellings.append(self._utf8)
        if text.has_escapes:
            spellings.append(self._escaped)
        for words in spellings:
            for word, form in words:
                if len(found) >= most:
                    return tuple(found)[:most]
                if form in text.raw and _is_whole(text.raw, form):
                    found[word] = None
        return tuple(found)[:most]


def _as_json(text: str) -> bytes:
    """As it stands within a string, with what JSON escapes in any case: quotes, backslashes and line ends."""
    return json.dumps(text, ensure_ascii=False)[1:-1].encode()


def _forms(word: str) -> Iterable[str]:
    return dict.fromkeys((word, word.lower(), word.upper(), word.capitalize()))


def _is_whole(raw: bytes, form: bytes) -> bool:
    """Whether the form occurs, with its ends where it ends."""
    is_open_before, is_open_after = form[0] not in _WORD, form[-1] not in _WORD
    at = raw.find(form)
    while at >= 0:
        end = at + len(form)
        if (is_open_before or _begins(raw, at)) and (is_open_after or end == len(raw) or raw[end] not in _WORD):
            return True
        at = raw.find(form, at + 1)
    return False


def _begins(raw: bytes, at: int) -> bool:
    """Whether no ASCII letter or digit stands before; those of an escape (a line break, a `\\uXXXX`) do not count."""
    if at == 0 or raw[at - 1] not in _WORD:
        return True
    return raw[at - 2 : at] in (b"\\n", b"\\t", b"\\r") or raw[at - 6 : at - 4] == b"\\u"


NO_KEYWORDS: Final = Keywords(())

REASONING: Final[Mapping[str, Keywords]] = {
    "": Keywords((
        "prove", "proof", "theorem", "lemma", "derive", "derivation", "induction", "step by step", "step-by-step",
        "solve", "equation", "integral", "probability", "calculate", "compute", "optimal", "optimize", "algorithm",
        "complexity", "analyze", "analyse", "evaluate", "compare", "tradeoff", "tradeoffs", "root cause", "diagnose",
        "architecture", "justify", "why", "strategy", "rigorous", "contradiction",
        # Spanish, Portuguese, French, German, Italian, Vietnamese
        "demuestra", "resuelve", "calcula", "analiza", "paso a paso", "demonstre", "resolva", "analise", "prouve",
        "pourquoi", "beweise", "beweis", "berechne", "warum", "dimostra", "risolvi",
    )),
    "latin": Keywords((
        "por qué", "démontre", "étape par étape", "löse", "schritt für schritt", "perché", "chứng minh", "phân tích",
        "tại sao",
    )),
    "cyrillic": Keywords((
        "доказ", "докаж", "вычисл", "проанализ", "почему", "пошагов", "оптимиз", "доведи", "обчисл", "чому",
    )),
    "han": Keywords((
        "证明", "證明", "推导", "推導", "分析", "逐步", "一步一步", "求解", "计算", "計算", "算法", "演算法", "优化",
        "最优", "为什么", "為什麼", "定理", "方程", "积分", "比较", "推理", "架构",
    )),
    "kana": Keywords(("証明", "なぜ", "最適", "段階的", "方程式", "導出", "分析", "計算", "定理", "比較")),
    "hangul": Keywords(("증명", "분석", "계산", "단계별", "최적", "왜")),
    "arabic": Keywords(("أثبت", "برهن", "احسب", "حلل", "لماذا")),
    "devanagari": Keywords(("सिद्ध", "गणना", "विश्लेषण", "क्यों")),
}  # fmt: skip
"""Words that ask for thought, by the script of the text; under "" those in ASCII, which occur in any."""
ABOUT_CODE: Final[Mapping[str, Keywords]] = {
    "": Keywords((
        "code", "python", "javascript", "typescript", "rust", "golang", "java", "c++", "sql", "regex", "bash", "debug",
        "refactor", "compile", "compiler", "stack trace", "unit test", "unit tests", "pull request",
    )),
    "latin": Keywords(("código",)),
    "cyrillic": Keywords(("код", "функци")),
    "han": Keywords(("代码", "代碼", "函数", "函數", "编程", "調試", "调试")),
    "kana": Keywords(("コード", "関数")),
    "hangul": Keywords(("코드", "함수")),
    "devanagari": Keywords(("कोड",)),
}  # fmt: skip
