"""The part of CDDL (RFC 8610) that docs/icetun.cddl uses: rules, maps, arrays, occurrences, choices,
ranges, tags, literals, and the controls .size .regexp .cbor .lt. Anything else is a SyntaxError.

    schema = Schema(text)
    schema.check("rule", value)      # raises Mismatch and says where

Values are what cbor2 decodes. A map entry with a literal key is a cut (s. 3.5.4): when the key is
there, its value has to match, and no wildcard takes it instead.
"""
import re

import cbor2

TOKEN = re.compile(r"""
    (?P<skip>(?:\s|;[^\n]*)+)
  | (?P<bytes>h'[0-9a-fA-F]*')
  | (?P<text>"[^"\\]*")
  | (?P<control>\.(?:size|regexp|cbor|lt)(?![A-Za-z]))
  | (?P<range>\.\.(?!\.))
  | (?P<tag>\#6\.\d+)
  | (?P<number>-?\d+)
  | (?P<name>[A-Za-z_](?:[-.]*[A-Za-z0-9_])*)
  | (?P<mark>=>|[=/{}\[\](),:?*+])
""", re.VERBOSE)


class Mismatch(Exception):
    pass


def is_int(v):
    return isinstance(v, int) and not isinstance(v, bool)


PRELUDE = {
    "any": lambda v: True,
    "uint": lambda v: is_int(v) and 0 <= v < 1 << 64,
    "int": lambda v: is_int(v) and -(1 << 64) <= v < 1 << 64,
    "bstr": lambda v: isinstance(v, bytes),
    "tstr": lambda v: isinstance(v, str),
    "bool": lambda v: isinstance(v, bool),
    "true": lambda v: v is True,
    "false": lambda v: v is False,
}


class Parser:
    """Makes nested tuples (kind, ...) of the text."""

    def __init__(self, text):
        self.tokens = []
        at = 0
        while at < len(text):
            m = TOKEN.match(text, at)
            if not m:
                raise SyntaxError("CDDL: cannot read %r" % text[at:at + 30])
            if m.lastgroup != "skip":
                self.tokens.append((m.lastgroup, m.group()))
            at = m.end()
        self.tokens.append(("end", ""))
        self.at = 0

    def peek(self, ahead=0):
        return self.tokens[min(self.at + ahead, len(self.tokens) - 1)]

    def take(self, text=None, kind=None):
        token = self.peek()
        if (text and token[1] != text) or (kind and token[0] != kind):
            raise SyntaxError("CDDL: expected %s, found %r" % (text or kind, token[1]))
        self.at += 1
        return token[1]

    def accept(self, text):
        if self.peek()[1] == text:
            self.at += 1
            return True
        return False

    def rules(self):
        rules = {}
        while self.peek()[0] != "end":
            name = self.take(kind="name")
            self.take("=")
            if name in rules or name in PRELUDE:
                raise SyntaxError("CDDL: %s is defined twice" % name)
            rules[name] = self.type()
        return rules

    def type(self):
        choices = [self.type1()]
        while self.accept("/"):
            choices.append(self.type1())
        return choices[0] if len(choices) == 1 else ("choice", choices)

    def type1(self):
        left = self.type2()
        kind, text = self.peek()
        if kind == "range":
            self.take()
            return ("range", left, self.type2())
        if kind == "control":
            self.take()
            return ("control", text, left, self.type2())
        return left

    def type2(self):
        kind, text = self.peek()
        self.at += 1
        if kind == "number":
            return ("literal", int(text))
        if kind == "text":
            return ("literal", text[1:-1])
        if kind == "bytes":
            return ("literal", bytes.fromhex(text[2:-1]))
        if kind == "name":
            return ("name", text)
        if kind == "tag":
            self.take("(")
            inner = self.type()
            self.take(")")
            return ("tag", int(text[3:]), inner)
        if text == "(":
            inner = self.type()
            self.take(")")
            return inner
        if text == "{":
            return ("map", self.entries("}"))
        if text == "[":
            return ("array", self.entries("]"))
        raise SyntaxError("CDDL: %r is no type" % text)

    def entries(self, end):
        entries = []
        while not self.accept(end):
            low, high = self.occurrence()
            key, cut = None, False
            if self.peek()[0] in ("name", "number", "text") and self.peek(1)[1] == ":":
                kind, text = self.peek()
                key = ("literal", text) if kind == "name" else self.type2()
                if kind == "name":
                    self.at += 1
                self.take(":")
                cut = True
                value = self.type()
            else:
                value = self.type()
                if self.accept("=>"):
                    key, value = value, self.type()
            entries.append((low, high, key, cut, value))
            self.accept(",")
        return entries

    def occurrence(self):
        if self.accept("?"):
            return 0, 1
        if self.accept("+"):
            return 1, None
        low, high = 0, None
        if self.peek()[0] == "number" and self.peek(1)[1] == "*":
            low = int(self.take())
        elif self.peek()[1] != "*":
            return 1, 1
        self.take("*")
        if self.peek()[0] == "number" and self.peek(1)[1] not in (":", "=>"):
            high = int(self.take())
        return low, high


class Schema:
    def __init__(self, text):
        self.rules = Parser(text).rules()
        self.check_names(list(self.rules.values()))

    def check_names(self, node):
        """Every name that is used is defined."""
        if isinstance(node, tuple) and node and node[0] == "name":
            if node[1] not in self.rules and node[1] not in PRELUDE:
                raise SyntaxError("CDDL: %s is not defined" % node[1])
        elif isinstance(node, (tuple, list)):
            for part in node:
                self.check_names(part)

    def alternatives(self, name):
        """The rules that a choice of names comes down to."""
        rule = self.rules[name]
        if rule[0] == "choice" and all(c[0] == "name" for c in rule[1]):
            return [n for c in rule[1] for n in self.alternatives(c[1])]
        return [name]

    def check(self, rule, value):
        self.match(("name", rule), value, rule)

    def matches(self, node, value):
        try:
            self.match(node, value, "")
            return True
        except Mismatch:
            return False

    def match(self, node, value, where):
        getattr(self, "match_" + node[0])(node, value, where)

    def require(self, condition, value, where):
        if not condition:
            raise Mismatch("%s: %r" % (where, value))

    def match_name(self, node, value, where):
        if node[1] in self.rules:
            self.match(self.rules[node[1]], value, where)
        else:
            self.require(PRELUDE[node[1]](value), value, where)

    def match_literal(self, node, value, where):
        self.require(type(value) is type(node[1]) and value == node[1], value, where)

    def match_range(self, node, value, where):
        self.require(is_int(value) and node[1][1] <= value <= node[2][1], value, where)

    def match_choice(self, node, value, where):
        self.require(any(self.matches(c, value) for c in node[1]), value, where)

    def match_tag(self, node, value, where):
        self.require(isinstance(value, cbor2.CBORTag) and value.tag == node[1], value, where)
        self.match(node[2], value.value, where + "/#")

    def match_control(self, node, value, where):
        _, control, left, right = node
        self.match(left, value, where)
        if control == ".cbor":
            self.match(right, cbor2.loads(value), where + "/.cbor")
        elif control == ".regexp":
            self.require(re.fullmatch(right[1], value), value, where)
        elif control == ".lt":
            self.require(value < right[1], value, where)
        elif is_int(value):
            self.require(0 <= value < 1 << (8 * right[1]), value, where)
        else:
            self.require(self.matches(right, len(value)), value, where)

    def match_map(self, node, value, where):
        self.require(isinstance(value, dict), value, where)
        left = dict(value)
        for low, high, key, cut, inner in node[1]:
            count = 0
            for k in [k for k in left if self.matches(key, k)]:
                if cut:
                    self.match(inner, left[k], "%s/%s" % (where, k))
                if count != high and self.matches(inner, left[k]):
                    del left[k]
                    count += 1
            self.require(count >= low, "no key %s" % (key,), where)
        self.require(not left, "unexpected keys %s" % list(left), where)

    def match_array(self, node, value, where):
        self.require(isinstance(value, list), value, where)
        self.require(self.match_items(node[1], value, where), value, where)

    def match_items(self, entries, items, where):
        if not entries:
            return not items
        low, high, _, _, inner = entries[0]
        count = 0
        while count < len(items) and count != high and self.matches(inner, items[count]):
            count += 1
        while count >= low:
            if self.match_items(entries[1:], items[count:], where):
                return True
            count -= 1
        return False
