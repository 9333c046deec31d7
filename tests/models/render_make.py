"""Makes up templates and values for them, from a seed: expressions that mostly have a sense, by the kind of value that
they give, and sometimes anything in any place."""

WORDS = ["", "a", "Hello", "hello world", " Hi there\n", "It's \"ok\"", "héé 🎈", "x,y,,z", "<b>&amp;</b>", "ab\ncd\r\nef",
         "ÀÉÎ straße ΑΣ ŉ", "12", "-3.5", "0x1F", "a-b_c d.e", "{{ no }}", "%s and %d", "{} {0}", "UPPER lower", "\t tab\t",
         "\u3000wide\u00a0", "ǆ ﬁ İ ı", "one two three four five six seven", "true", "None", "1e3", " 7 ", "١٢", "ⅷ²"]
KEYS = ["a", "b", "c", "role", "content", "name", "items", "x y", "n"]


def string(text):
    """A string as templates write it."""
    escaped = text.replace("\\", "\\\\").replace("\n", "\\n").replace("\r", "\\r").replace("\t", "\\t")
    return "'" + escaped.replace("'", "\\'") + "'" if "'" not in text or '"' in text else '"' + escaped + '"'


class Values:
    """Random values of JSON's kinds."""

    def __init__(self, rng):
        self.rng = rng

    def text(self):
        return self.rng.choice(WORDS)

    def number(self):
        rng = self.rng
        return rng.choice([rng.randint(-3, 12), rng.randint(-3, 12), rng.randint(-10000, 100000), 0, 1,
                           round(rng.uniform(-5, 50), rng.randint(0, 4)), 0.5, 2.5, 1e-7, 123456.789])

    def list_of(self, make, most=5):
        return [make() for _ in range(self.rng.randint(0, most))]

    def message(self):
        made = {"role": self.rng.choice(["user", "assistant", "system", "tool"]), "content": self.text()}
        if self.rng.random() < 0.3:
            made["name"] = self.text()
        if self.rng.random() < 0.3:
            made["n"] = self.number()
        return made

    def any(self, depth=2):
        pick = self.rng.random()
        if pick < 0.3 or depth == 0:
            return self.text()
        if pick < 0.5:
            return self.number()
        if pick < 0.6:
            return self.rng.choice([True, False, None])
        if pick < 0.8:
            return self.list_of(lambda: self.any(depth - 1), 4)
        return {k: self.any(depth - 1) for k in self.rng.sample(KEYS, self.rng.randint(0, 4))}

    def tree(self, depth=3):
        return [{"name": self.text(), "kids": self.tree(depth - 1) if depth else []}
                for _ in range(self.rng.randint(0, 3))]

    def all(self):
        return {"m": [self.message() for _ in range(self.rng.randint(0, 4))], "d": {
            k: self.any() for k in self.rng.sample(KEYS, self.rng.randint(1, 6))},
            "s": self.text(), "t": self.text(), "n": self.rng.randint(-3, 12), "f": float(self.number()),
            "l": self.list_of(lambda: self.rng.randint(-5, 9)), "w": self.list_of(self.text), "q": [],
            "v": self.any(), "tree": self.tree(), "b": self.rng.random() < 0.5, "z": None}


NAMES = {"text": ["s", "t", "w[0]", "m[0].content", "d.a", "x"], "number": ["n", "f", "l[0]", "n", "loop.index", "y"],
         "list": ["l", "w", "m", "q", "l", "w", "tree"], "dict": ["d", "m[0]", "d", "v"], "bool": ["b", "true", "false"],
         "any": ["v", "z", "nope", "d.b", "d['x y']", "x", "y", "m", "loop", "ns", "d.items", "range", "d.nope.c"]}
# Without wordwrap: in Python 3.11 a line that ends with a part of a long word keeps the space behind it, in 3.14 it does not.
TEXT_FILTERS = ["trim", "upper", "lower", "title", "capitalize", "replace(T, T)", "replace(T, T, I)", "string", "indent",
                "indent(I, true)", "indent(T, blank=true)", "center(I)", "truncate(I)", "truncate(8, true)",
                "truncate(9, end='.', leeway=0)",
                "trim(T)", "urlencode", "reverse", "default(T)", "d(T, true)", "escape", "e", "safe",
                "striptags", "format(A)", "tojson", "forceescape"]
TEXT_METHODS = ["upper()", "lower()", "title()", "capitalize()", "casefold()", "swapcase()", "strip()", "strip(T)",
                "lstrip(T)", "rstrip()", "replace(T, T)", "replace(T, T, 1)", "zfill(I)", "center(I)", "ljust(I, '*')",
                "rjust(I)", "expandtabs(I)", "removeprefix(T)", "removesuffix(T)", "join(w)", "format(A, A)",
                "format(A, a=A)", "translate({97: 'b', 98: none, 99: 100})", "__class__.__name__"]
TEXT_TO_NUMBER = ["find(T)", "rfind(T, I)", "count(T)", "count(T, I, I)", "index('a')", "find(T, I, I)"]
TEXT_TO_LIST = ["split()", "split(T)", "split(',', I)", "rsplit(none, 1)", "rsplit(T, 1)", "splitlines()",
                "splitlines(true)", "partition(T)", "rpartition(' ')"]
TEXT_TO_BOOL = ["startswith(T)", "endswith(T)", "isdigit()", "isalpha()", "isalnum()", "isspace()", "isupper()",
                "islower()", "istitle()", "isnumeric()", "isdecimal()", "isprintable()", "isascii()",
                "startswith(('a', 'H'), I)"]
NUMBER_FILTERS = ["abs", "round", "round(I)", "round(1)", "round(2, 'ceil')", "round(1, 'floor')", "round(-1)", "int",
                  "float", "default(I)"]
TO_NUMBER = ["length", "count", "sum", "first|int", "int", "int(7)", "int(0, 16)", "float", "float(2.5)", "wordcount",
             "max|int", "min|float"]
LIST_FILTERS = ["list", "sort", "sort(reverse=true)", "unique|list", "reverse|list", "map('string')|list",
                "map('upper')|list", "map('length')|list", "select|list", "reject('none')|list", "select('string')|list",
                "map(attribute='content')|list", "map(attribute='n', default=I)|list", "selectattr('n')|list",
                "selectattr('role', 'equalto', 'user')|list", "rejectattr('name')|list", "batch(I)|list",
                "batch(2, 'x')|list", "slice(2)|list", "slice(3, none)|list", "slice(2, 'f')|list",
                "groupby('role')|list", "groupby('n', default=0)|list", "sort(attribute='role,content')",
                "sort(attribute='n')", "map('default', T)|list", "map('int')|list", "map('replace', 'a', T)|list",
                "map('round', 1)|list", "select('gt', I)|list", "reject('in', w)|list", "sort(case_sensitive=true)",
                "unique(case_sensitive=true)|list", "map('first')|list", "map('trim')|join|list",
                "map('tojson')|list", "selectattr('content', 'in', w)|list", "items|list"]
LAZY = ["map('upper')", "select('string')", "reject('none')", "unique", "batch(2)", "slice(2)", "reverse", "items",
        "map('string')", "selectattr('role')", "map(attribute='role')"]
LIST_TO_TEXT = ["join", "join(', ')", "join(T)", "join('-', attribute='role')", "first", "last", "string", "tojson",
                "tojson(indent=2)", "max", "min", "map('string')|join('|')", "map('upper')|first", "urlencode",
                "tojson(separators=(',', ':'))", "map('e')|join"]
DICT_FILTERS = ["items|list", "dictsort", "dictsort(true)", "dictsort(by='value')", "dictsort(reverse=true)", "list",
                "length", "tojson", "tojson(sort_keys=true)", "tojson(indent=I)", "string", "xmlattr", "urlencode",
                "tojson(ensure_ascii=true)", "pprint", "first", "last", "count", "e"]
DICT_METHODS = ["items()", "keys()", "values()", "get(K)", "get(K, A)", "keys()|list", "values()|list", "items()|list",
                "copy()", "items()|length", "pop", "update", "fromkeys(w, I)"]
TESTS = ["defined", "undefined", "none", "string", "number", "mapping", "sequence", "iterable", "boolean", "integer",
         "float", "true", "false", "odd", "even", "eq(A)", "in l", "in [1, 'a', none]", "divisibleby 2", "equalto(T)",
         "gt 1", "lower", "upper", "callable", "escaped", "ne(A)", "lt(I)", "sameas none", "filter", "test", "ge 1"]
BINARY = ["+", "-", "*", "//", "/", "%", "~", "~", "==", "!=", "<", ">", "<=", ">=", "and", "or", "in", "not in"]
FORMATS = ["%s|%s", "%5s|%-5s|", "%d", "%05d|%+d", "%.2f", "%x %o", "%r", "%%", "%e %g", "%c", "%(a)s", "%10.3s|", "%a",
           "%s", "%i %s", "%*d", "% d", "%#x"]
BRACES = ["{}", "{} {}", "{0} {1}", "{:>8}|", "{:<8}|", "{:^8}|", "{:*^9}|", "{:d}", "{:05d}", "{:.2f}", "{:,}", "{:_}",
          "{:e}", "{:x}", "{:#b}", "{!r}", "{!s:>5}", "{a}", "{a:{b}}", "{0.role}", "{0[role]}", "{:%}", "{:g}", "{:.3}",
          "{{}}", "{:+}", "{: }", "{:08.3f}", "{!a}", "{:5}", "{", "{:s}", "{:c}", "{:n}", "{:010,}"]
SPACE = ["", "", " ", "\n", "  ", "\n  ", " \n", "\n\n", "\t", "text", " text ", "\ntext\n", "é", " {", "} ", "%}", "#"]


class Maker:
    def __init__(self, rng):
        self.rng = rng
        self.values = Values(rng)
        self.macros = 0

    # ---- expressions

    def fill(self, form, depth):
        """A form with expressions for its capitals that stand alone: T is a text, I a small number, A anything, B a
        boolean, K a key."""
        out, word = [], ""
        for i, c in enumerate(form):
            alone = (i == 0 or not (form[i - 1].isalnum() or form[i - 1] in "_'\"%")) and \
                (i + 1 == len(form) or not (form[i + 1].isalnum() or form[i + 1] in "_'\""))
            if c in "TIABK" and alone:
                word = {"T": lambda: self.constant("text"), "I": lambda: str(self.rng.randint(0, 9)),
                        "A": lambda: self.expression("any", depth - 1), "B": lambda: self.rng.choice(["true", "false"]),
                        "K": lambda: string(self.rng.choice(KEYS))}[c]()
                out.append(word)
            else:
                out.append(c)
        return "".join(out)

    def constant(self, kind):
        rng = self.rng
        if kind == "text":
            return string(rng.choice(WORDS[:20] if rng.random() < 0.8 else WORDS))
        if kind == "number":
            return rng.choice(["0", "1", "2", "3", "10", "7", "2.5", "0.1", "1e3", "1_000", "0x1f", "100"])
        if kind == "bool":
            return rng.choice(["true", "false"])
        if kind == "list":
            return rng.choice(["[]", "[1, 2, 3]", "['b', 'a', 'C']", "[1, 'a', none]", "(1, 2)", "[[1, 2], [3]]",
                               "range(5)", "range(1, 9, 3)", "'abc'", "[0.5, 1]", "('x',)", "range(5, 0, -2)"])
        if kind == "dict":
            return rng.choice(["{}", "{'a': 1, 'b': [2]}", "dict(a=1, c='x')", "{'b': 'B', 'a': none}", "{1: 2, 'k': {}}",
                               "dict({'a': 1}, b=2)", "dict([('p', 1), ['q', 2]])"])
        return rng.choice(["none", "true", "1", "'a'", "[]", "{}", "2.5", "''", "nope"])

    def wrapped(self, kind, depth):
        inner = self.expression(kind, depth)
        return inner if inner.isidentifier() else "(" + inner + ")"

    def text(self, depth):
        pick, rng = self.rng.random(), self.rng
        if pick < 0.3:
            return self.wrapped("text", depth - 1) + "|" + self.fill(rng.choice(TEXT_FILTERS), depth)
        if pick < 0.55:
            return self.wrapped("text", depth - 1) + "." + self.fill(rng.choice(TEXT_METHODS), depth)
        if pick < 0.65:
            return self.wrapped("list", depth - 1) + "|" + self.fill(rng.choice(LIST_TO_TEXT), depth)
        if pick < 0.72:
            return self.wrapped("any", depth - 1) + " ~ " + self.wrapped("any", depth - 1)
        if pick < 0.8:
            return self.rng.choice(NAMES["text"] + ["(s ~ t)", "(t|upper)", "'abcdef'"]) + self.slice()
        if pick < 0.87:
            return self.percent(depth)
        if pick < 0.93:
            args = ", ".join([self.expression("any", depth - 1) for _ in range(rng.randint(0, 2))] +
                             rng.sample(["a=n", "b=5", "a=t"], 1))
            return string(" ".join(rng.sample(BRACES, rng.randint(1, 2)))) + ".format(" + args + ")"
        return self.wrapped("text", depth - 1) + " + " + self.wrapped("text", depth - 1)

    def percent(self, depth):
        rng = self.rng
        form = " ".join(rng.sample(FORMATS, rng.randint(1, 2)))
        if "(a)" in form:
            return string(form) + " % {'a': " + self.expression("any", depth - 1) + "}"
        n = form.replace("%%", "").count("%") + form.count("*")
        kinds = rng.choice([["number"], ["text"], ["any", "number"]])
        values = ", ".join(self.expression(rng.choice(kinds), depth - 1) for _ in range(n))
        return string(form) + " % (" + values + ("," if n == 1 else "") + ")"

    def number(self, depth):
        pick, rng = self.rng.random(), self.rng
        if pick < 0.25:
            return self.wrapped("number", depth - 1) + "|" + self.fill(rng.choice(NUMBER_FILTERS), depth)
        if pick < 0.45:
            return self.wrapped(rng.choice(["text", "list", "any"]), depth - 1) + "|" + rng.choice(TO_NUMBER)
        if pick < 0.6:
            return self.wrapped("text", depth - 1) + "." + self.fill(rng.choice(TEXT_TO_NUMBER), depth)
        if pick < 0.65:
            return rng.choice(["-", "+", ""]) + self.wrapped("number", depth - 1)
        sign = rng.choice(["+", "-", "*", "//", "/", "%", "**"])
        right = "2" if sign == "**" else self.wrapped("number", depth - 1)
        return ("3" if sign == "**" else self.wrapped("number", depth - 1)) + " " + sign + " " + right

    def list(self, depth):
        pick, rng = self.rng.random(), self.rng
        if pick < 0.5:
            return self.wrapped("list", depth - 1) + "|" + self.fill(rng.choice(LIST_FILTERS), depth)
        if pick < 0.65:
            return self.wrapped("text", depth - 1) + "." + self.fill(rng.choice(TEXT_TO_LIST), depth)
        if pick < 0.75:  # of a constant dict jinja2 makes a slice that Python refuses
            return self.rng.choice(NAMES["list"]) + self.slice()
        if pick < 0.85:
            return self.wrapped("dict", depth - 1) + "." + self.fill(rng.choice(DICT_METHODS), depth)
        if pick < 0.92:
            return "[" + ", ".join(self.expression("any", depth - 1) for _ in range(rng.randint(0, 3))) + "]"
        return self.wrapped("list", depth - 1) + rng.choice([" + ", " * "]) + rng.choice(["[1]", "2", "w"])

    def dict(self, depth):
        pairs = ", ".join(string(self.rng.choice(KEYS)) + ": " + self.expression("any", depth - 1)
                          for _ in range(self.rng.randint(0, 3)))
        return "{" + pairs + "}"

    def bool(self, depth):
        pick, rng = self.rng.random(), self.rng
        if pick < 0.35:
            return self.wrapped("any", depth - 1) + rng.choice([" is ", " is not "]) + self.fill(rng.choice(TESTS), depth)
        if pick < 0.5:
            return self.wrapped("text", depth - 1) + "." + self.fill(rng.choice(TEXT_TO_BOOL), depth)
        if pick < 0.6:
            return "not " + self.wrapped("any", depth - 1)
        kind = rng.choice(["number", "text", "any", "list"])
        return self.wrapped(kind, depth - 1) + " " + rng.choice(["==", "!=", "<", ">=", "in", "not in", "and", "or"]) + \
            " " + self.wrapped(rng.choice([kind, kind, "list"]), depth - 1)

    def slice(self):
        bound = lambda: self.rng.choice(["", "", "0", "1", "2", "-1", "-2", "9", "n"])  # noqa: E731
        return self.rng.choice(["[%s:%s]" % (bound(), bound()), "[%s:%s:%s]" % (bound(), bound(), self.rng.choice(
            ["1", "2", "-1", "-2", ""])), "[%s]" % self.rng.choice(["0", "1", "-1", "9", "n"])])

    def any_of(self, depth):
        pick, rng = self.rng.random(), self.rng
        if pick < 0.1:
            return self.wrapped("any", depth - 1) + rng.choice([
                ".a", ".b", "['role']", "[0]", "[-1]", ".content", ".b.c", "[n]", ".x", "|attr('a')", ".items()",
                ".name"])
        if pick < 0.2:
            return self.wrapped("any", depth - 1) + " " + rng.choice(BINARY) + " " + self.wrapped("any", depth - 1)
        if pick < 0.3:
            tail = " else " + self.expression("any", depth - 1) if rng.random() < 0.7 else ""
            return self.wrapped("any", depth - 1) + " if " + self.wrapped("bool", depth - 1) + tail
        if pick < 0.36:
            return self.wrapped("dict", depth - 1) + "|" + self.fill(rng.choice(DICT_FILTERS), depth)
        if pick < 0.4:
            return self.wrapped("list", depth - 1) + "|" + rng.choice(LAZY) + rng.choice(["|first", "|list", "|join", ""])
        if pick < 0.44:
            return self.wrapped("any", depth - 1) + "|" + self.fill(
                rng.choice(TEXT_FILTERS + LIST_FILTERS + DICT_FILTERS + NUMBER_FILTERS + LIST_TO_TEXT), depth)
        return getattr(self, rng.choice(["text", "number", "list", "dict", "bool", "text"]))(depth)

    def expression(self, kind, depth):
        rng = self.rng
        if rng.random() < 0.04:
            kind = "any"
        if depth <= 0 or rng.random() < 0.25:
            return rng.choice(NAMES[kind]) if rng.random() < 0.6 else self.constant(kind)
        return self.any_of(depth) if kind == "any" else getattr(self, kind)(depth)

    # ---- statements

    def tag(self, text):
        return self.rng.choice(["{% ", "{% ", "{% ", "{%- ", "{%+ "]) + text + \
            self.rng.choice([" %}", " %}", " %}", " -%}", " +%}"])

    def body(self, depth):
        return "".join(self.statement(depth) for _ in range(self.rng.randint(1, 3)))

    def show(self, kind=None, depth=2):
        kind = kind or self.rng.choice(["text", "number", "list", "dict", "bool", "any", "any", "text"])
        return self.rng.choice(["{{ ", "{{ ", "{{- "]) + self.expression(kind, depth) + self.rng.choice([" }}", " }}", " -}}"])

    def statement(self, depth):
        rng = self.rng
        if depth <= 0 or rng.random() < 0.3:
            return rng.choice(SPACE) + self.show() + rng.choice(SPACE)
        kinds = [self.if_tag, self.if_tag, self.for_tag, self.for_tag, self.set_tag, self.set_tag, self.set_block,
                 self.namespace, self.macro, self.macro, self.call, self.filter_block, self.with_tag, self.recursive,
                 self.generation, self.comment, self.raw, self.lazily, self.cycler, self.block, self.spread,
                 self.autoescape]
        return rng.choice(SPACE) + rng.choice(kinds)(depth) + rng.choice(SPACE)

    def if_tag(self, depth):
        rng = self.rng
        made = self.tag("if " + self.expression(rng.choice(["bool", "any"]), 2)) + self.body(depth - 1)
        if rng.random() < 0.3:
            made += self.tag("elif " + self.expression("bool", 2)) + self.body(depth - 1)
        if rng.random() < 0.5:
            made += self.tag("else") + self.body(depth - 1)
        return made + self.tag("endif")

    def for_tag(self, depth):
        rng = self.rng
        target, over = rng.choice([("x", self.expression("list", 1)), ("x", rng.choice(["m", "l", "w", "s", "d", "tree"])),
                                   ("x, y", "d.items()"), ("x", self.wrapped("list", 1) + "|" + rng.choice(LAZY)),
                                   ("(x, y)", "d|dictsort")])
        head = "for %s in %s%s" % (target, over, rng.choice(["", "", "", " if x", " if " + self.expression("bool", 1)]))
        loop = rng.choice(["", "", "{{ loop.index }}", "{{ loop.last }}{{ x }}", "{{ loop.revindex0 }}", "{{ loop.length }}",
                           "{{ loop.nextitem }}|{{ loop.previtem }}", "{{ loop.cycle('a', 'b') }}", "{{ loop.changed(x) }}",
                           "{{ loop.depth }}", self.tag("if loop.first") + self.tag(rng.choice(["break", "continue"])) +
                           self.tag("endif"), "{{ loop }}"])
        otherwise = self.tag("else") + self.body(depth - 1) if rng.random() < 0.2 else ""
        return self.tag(head) + loop + self.body(depth - 1) + otherwise + self.tag("endfor")

    def set_tag(self, depth):
        name, kind = self.rng.choice([("x", "any"), ("y", "number"), ("x", "text"), ("y", "list"), ("z", "any"),
                                     ("s", "text"), ("n", "number"), ("w", "list"), ("range", "number")])
        if self.rng.random() < 0.15:
            return self.tag("set x, y = " + self.expression("any", 1) + ", " + self.expression("any", 1)) + "{{ x }}"
        return self.tag("set %s = %s" % (name, self.expression(kind, depth))) + \
            (self.rng.choice(SPACE) + "{{ %s }}" % name if self.rng.random() < 0.6 else "")

    def set_block(self, depth):
        filters = self.rng.choice(["", "", " | upper", " | trim | replace('a', 'b')", " | length",
                                    " | replace('a', t)"])
        used = "{{ t }}" if "t)" in filters else ""  # jinja2 does not look for names in these filters
        return used + self.tag("set " + self.rng.choice(["x", "x", "s"]) + filters) + self.body(depth - 1) + self.tag("endset") + "[{{ x }}]"

    def namespace(self, depth):
        rng = self.rng
        first = rng.choice(["v=1", "v=''", "v=[]", "{'v': 1}, u=2", ""])
        change = rng.choice(["ns.v + x", "ns.v ~ x", "x", "ns.v + [x]"])
        return self.tag("set ns = namespace(%s)" % first) + self.tag("for x in " + rng.choice(["l", "w", "q", "m"])) + \
            self.tag("set ns.v = " + change) + self.tag("endfor") + "{{ ns.v }}" + rng.choice(["", "{{ ns }}", "{{ ns.u }}"])

    def macro(self, depth):
        rng = self.rng
        self.macros += 1
        name = "f%d" % self.macros
        head = rng.choice(["a", "a, b='B'", "a=1, b=a", "", "a, b=c, c=2", "a, caller=none"])
        inner = rng.choice(["{{ a }}{{ b }}", "{{ varargs }}", "{{ kwargs }}", "{{ varargs|length }}{{ kwargs|length }}",
                            "{{ a }}{{ x }}", "{{ caller }}", "{% set x = a %}{{ x }}"]) + self.body(depth - 1)
        args = lambda: rng.choice(["", self.expression("any", 1), self.expression("any", 1) + ", 2", "1, 2, 3", "b=2, a=1",  # noqa: E731
                                   "1, z=3", "*l", "**{'b': 1}", "a=" + self.expression("any", 1), "1, b=n", "1"])
        calls = "".join("{{ %s(%s) }}" % (name, args()) for _ in range(rng.randint(1, 2)))
        return self.tag("macro %s(%s)" % (name, head)) + inner + self.tag("endmacro") + calls + \
            rng.choice(["", "", "{{ %s }}" % name, "{{ %s.name }}{{ %s.arguments }}" % (name, name)])

    def call(self, depth):
        rng = self.rng
        self.macros += 1
        name = "g%d" % self.macros
        give = rng.choice(["", "n", "1, 2", "a", "a, b=3"])
        take = rng.choice(["", "(u)", "(u, v=2)", "(u=n)", "()"])
        inner = rng.choice(["<{{ caller(%s) }}>", "{%% if caller %%}{{ caller(%s) }}{%% endif %%}",
                            "{%% for i in 'ab' %%}{{ caller(%s) }}{%% endfor %%}"]) % give
        body = self.body(depth - 1) + rng.choice(["", "{{ u }}", "{{ u }}{{ v }}"])
        return self.tag("macro %s(a=1)" % name) + inner + self.tag("endmacro") + \
            self.tag("call%s %s(%s)" % (take, name, rng.choice(["", "2", "a=s"]))) + body + self.tag("endcall")

    def filter_block(self, depth):
        chosen = self.fill(self.rng.choice(["upper", "trim", "indent(I)", "replace(T, T)|title", "center(I)", "wordcount",
                                            "replace('a', s)", "length", "e", "list", "reverse", "default(T)"]), 1)
        return self.tag("filter " + chosen) + self.body(depth - 1) + self.tag("endfilter")

    def with_tag(self, depth):
        sets = self.rng.choice(["", "x = " + self.expression("any", 1), "x = n, y = x", "x = 1, y = " +
                                self.expression("text", 1)])
        return self.tag("with " + sets) + "{{ x }}" + self.body(depth - 1) + self.tag("endwith") + "{{ x }}"

    def recursive(self, depth):
        shown = self.rng.choice(["{{ x.name }}", "{{ loop.depth }}", "{{ loop.depth0 }}{{ loop.index }}", "{{ loop.first }}"])
        again = self.rng.choice(["{{ loop(x.kids) }}", "({{ loop(x.kids)|upper }})",
                                 "{% if x.kids %}{{ loop(x.kids) }}{% endif %}"])
        return self.tag("for x in tree recursive") + shown + self.rng.choice(SPACE) + again + \
            self.rng.choice(["", self.tag("else") + "-"]) + self.tag("endfor")

    def generation(self, depth):
        return self.tag("generation") + self.body(depth - 1) + self.tag("endgeneration")

    def comment(self, _):
        note = self.rng.choice(["{#", "{#-", "{#+"]) + " note " + self.rng.choice(["#}", "-#}", "+#}"])
        return note

    def raw(self, _):
        return self.tag("raw").replace("+%}", "%}") + " {{ x }} " + self.rng.choice(SPACE) + self.tag("endraw")

    def lazily(self, _):
        uses = ["{{ x|list }}", "{{ x|first }}", "{% for i in x %}{{ i }};{% endfor %}", "{{ x|join }}", "{{ 1 if x else 2 }}",
                "{{ x is iterable }}{{ x is sequence }}", "{{ 'a' in x }}", "{{ x|length }}", "{{ x|last }}", "{{ x|tojson }}",
                "{{ x|sum }}", "{{ x[0] }}", "{{ x is string }}{{ x is defined }}", "{{ x|max }}"]
        return self.tag("set x = " + self.wrapped("list", 1) + "|" + self.rng.choice(LAZY)) + \
            "".join(self.rng.sample(uses, self.rng.randint(1, 3)))

    def cycler(self, _):
        return self.tag("set x = " + self.rng.choice(["cycler('a', 'b', 3)", "joiner('; ')", "joiner()"])) + \
            "".join(self.rng.choice(["{{ x.next() }}", "{{ x.current }}", "{{ x() }}", "{{ x.reset() }}"])
                    for _ in range(self.rng.randint(1, 4)))

    def block(self, depth):
        self.macros += 1
        return self.tag("block b%d%s" % (self.macros, self.rng.choice(["", " scoped"]))) + self.body(depth - 1) + \
            self.tag("endblock") + self.rng.choice(["", "{{ self.b%d() }}" % self.macros])

    def spread(self, _):
        return self.rng.choice(["{{ dict(**d) }}", "{{ range(*[1, 4])|list }}", "{{ 'x'.join(*[w]) }}",
                                "{{ '{} {}'.format(*l) }}", "{{ '{a}'.format(**d) }}", "{{ s.replace(*['a', 'b']) }}"])

    def autoescape(self, depth):
        return self.tag("autoescape " + self.rng.choice(["true", "false"])) + self.body(depth - 1) + \
            self.tag("endautoescape")
