"""forms_schemas: makes up JSON schemas, the same ones for the same seed.

A schema has a depth and uses the keywords of draft 2020-12, alone and together, also where they leave little or nothing.
Names and patterns are drawn from few, so that schemas that hold together speak of the same members.
"""
import random

NAMES = ["a", "b", "name", "city", "item count", "é", "x-id", "quote\"d", "kind", "next", "z9"]
PATTERNS = ["^[a-z]+$", "^[A-Z][a-z]{1,8}$", "[0-9]", "^(foo|bar)?$", "^x-", "^\\d{3}-\\d{4}$", "^\\S+@\\S+$", "^.{2,5}$",
            "^[^\"\\\\]*$", "a|b$", "^\\w+(\\s\\w+)*$", "^(ab)*c?$", "[é-ü]", "^\\u00e9"]
FORMATS = ["date", "time", "date-time", "duration", "uuid", "ipv4", "ipv6", "email", "hostname", "uri",
           "json-pointer"]
KEYS = ["^x-", "^[a-c]$", "[0-9]$", "^(n|k)"]


class Maker:
    def __init__(self, seed):
        self.rng = random.Random(seed)
        self.defs = []

    def maybe(self, chance):
        return self.rng.random() < chance

    def atom(self, depth):
        rng = self.rng
        pick = rng.random()
        if pick < 0.25 and depth:
            return rng.choice(["(%s)", "(?:%s)", "(?P<n%d>%%s)" % rng.randint(0, 10**6)]) % self.expression(depth - 1)
        if pick < 0.45:
            return rng.choice(["\\d", "\\D", "\\w", "\\W", "\\s", "\\S", "."])
        if pick < 0.65:
            inside = "".join(rng.choice(["a", "x-z", "0-9", "\\d", "\\w", "\\s", "\\W", "\\D", "\\S", "é-ü", "\\]", "\"", "\\n", "\\\\", "_"])
                             for _ in range(rng.randint(1, 3)))
            return "[" + rng.choice(["", "", "^"]) + inside + "]"
        return rng.choice(["a", "b", "ab", "0", " ", "é", "\"", "\\\\", "\\.", "\\n", "\\u20ac", "\\x41", "/", "😀", ":"])

    def expression(self, depth):
        """A regular expression that Python can read."""
        rng = self.rng
        branches = []
        for _ in range(rng.choice([1, 1, 1, 2])):
            text = rng.choice(["", "", "", "^"])
            for _ in range(rng.randint(0, 3)):
                text += self.atom(depth) + rng.choice(["", "", "", "*", "+", "?", "{2}", "{1,3}", "{2,}", "*?", "+?"])
            branches.append(text + rng.choice(["", "", "", "$"]))
        return "|".join(branches)

    def string(self):
        schema = {"type": "string"}
        pick = self.rng.random()
        if pick < 0.25:
            schema["pattern"] = self.rng.choice(PATTERNS) if self.maybe(0.5) else self.expression(2)
        elif pick < 0.45:
            schema["format"] = self.rng.choice(FORMATS)
        if self.maybe(0.3):
            schema["minLength"] = self.rng.choice([0, 1, 2, 5])
        if self.maybe(0.3) and "format" not in schema:
            schema["maxLength"] = self.rng.choice([1, 3, 8, 40, 3000])
        return schema

    def number(self):
        rng = self.rng
        schema = {"type": rng.choice(["integer", "number"])}
        some = [-1000, -17, -3, -1, 0, 1, 2, 10, 99, 100, 12345, 10**9, -2.5, 0.1, 0.75, 3.14159, 1e-7, 1e20]
        if self.maybe(0.5):
            schema[rng.choice(["minimum", "exclusiveMinimum"])] = rng.choice(some)
        if self.maybe(0.5):
            schema[rng.choice(["maximum", "exclusiveMaximum"])] = rng.choice(some)
        if self.maybe(0.25):
            schema["multipleOf"] = rng.choice([1, 2, 3, 5, 7, 10, 60, 100, 0.5, 0.25, 0.1, 0.01, 2.5])
        return schema

    def constant(self, depth=1):
        rng = self.rng
        pick = rng.random()
        if pick < 0.15 and depth:
            return [self.constant(depth - 1) for _ in range(rng.randint(0, 2))]
        if pick < 0.3 and depth:
            return {rng.choice(NAMES): self.constant(depth - 1) for _ in range(rng.randint(0, 2))}
        return rng.choice([None, True, False, 0, 1, -5, 2.5, 1e21, "", "a", "two words", "é\n\"\\", "\U0001f600"])

    def choice(self):
        if self.maybe(0.3):
            return {"const": self.constant()}
        return {"enum": [self.constant() for _ in range(self.rng.randint(1, 5))]}

    def items(self, depth):
        rng = self.rng
        schema = {"type": "array"}
        if self.maybe(0.3):
            schema["prefixItems"] = [self.schema(depth - 1) for _ in range(rng.randint(1, 3))]
        if self.maybe(0.75):
            schema["items"] = self.schema(depth - 1)
        if self.maybe(0.4):
            schema["minItems"] = rng.randint(0, 3)
        if self.maybe(0.5):
            schema["maxItems"] = rng.randint(0, 5)
        if self.maybe(0.15):
            schema["uniqueItems"] = True
            if self.maybe(0.7):
                schema["items"] = self.choice()
        if self.maybe(0.1):
            schema["contains"] = self.schema(0)
            if self.maybe(0.5):
                schema["maxContains"] = rng.randint(1, 3)
        return schema

    def members(self, depth):
        rng = self.rng
        names = rng.sample(NAMES, rng.randint(0, 5))
        schema = {"type": "object", "properties": {name: self.schema(depth - 1) for name in names}}
        if self.maybe(0.8):
            schema["required"] = [name for name in names if self.maybe(0.6)]
        if self.maybe(0.1):
            schema.setdefault("required", []).append(rng.choice(NAMES))
        if self.maybe(0.6):
            schema["additionalProperties"] = False if self.maybe(0.6) else self.schema(depth - 1)
        if self.maybe(0.15):
            schema["patternProperties"] = {key: self.schema(depth - 1) for key in rng.sample(KEYS, rng.randint(1, 2))}
        if self.maybe(0.1):
            schema["propertyNames"] = rng.choice([{"maxLength": 4}, {"pattern": "^[a-z]"}, {"enum": NAMES[:4]}])
        if self.maybe(0.1):
            schema["minProperties"] = rng.randint(0, 3)
        if self.maybe(0.15):
            schema["maxProperties"] = rng.randint(0, 4)
        if self.maybe(0.1):
            schema["dependentRequired"] = {rng.choice(NAMES): [rng.choice(NAMES)]}
        if self.maybe(0.05):
            schema["dependentSchemas"] = {rng.choice(NAMES): self.members(0)}
        if self.maybe(0.05):
            schema["unevaluatedProperties"] = False
        return schema

    def tagged(self, depth):
        """A union told apart by a member."""
        branches = []
        for tag in self.rng.sample(["cat", "dog", "fox"], self.rng.randint(2, 3)):
            branch = self.members(depth - 1)
            branch["properties"] = {"kind": {"const": tag}, **{k: v for k, v in branch["properties"].items() if k != "kind"}}
            branch["required"] = ["kind"] + [name for name in branch.get("required", []) if name != "kind"]
            branches.append(branch)
        return {self.rng.choice(["oneOf", "anyOf"]): branches}

    def together(self, depth):
        rng = self.rng
        pick = rng.random()
        if pick < 0.3:
            return {"anyOf": [self.schema(depth - 1) for _ in range(rng.randint(2, 3))]}
        if pick < 0.45:
            return {"oneOf": [self.schema(depth - 1) for _ in range(2)]}
        if pick < 0.6:
            return {"allOf": [self.members(depth - 1), self.members(depth - 1)]}
        if pick < 0.7:
            return {**self.members(depth - 1), "anyOf": [{"required": [rng.choice(NAMES)]}, {"required": [rng.choice(NAMES)]}]}
        if pick < 0.8:
            return {**self.members(depth - 1), "if": {"properties": {"a": self.choice()}, "required": ["a"]},
                    "then": self.members(0), "else": self.members(0)}
        if pick < 0.9:
            return {**self.number(), "not": self.schema(0)} if self.maybe(0.5) else {**self.string(), "not": self.string()}
        return self.tagged(depth)

    def reference(self, depth):
        name = "d%d" % len(self.defs)
        self.defs.append((name, depth - 1))
        return {"$ref": "#/$defs/" + name}

    def schema(self, depth):
        rng = self.rng
        pick = rng.random()
        if pick < 0.02:
            return rng.choice([True, False, {}])
        if depth > 0:
            if pick < 0.3:
                return self.members(depth)
            if pick < 0.45:
                return self.items(depth)
            if pick < 0.6:
                return self.together(depth)
            if pick < 0.65:
                return self.reference(depth)
            if pick < 0.68 and self.defs:
                return {"$ref": "#/$defs/" + rng.choice(self.defs)[0]}
        pick = rng.random()
        if pick < 0.35:
            return self.string()
        if pick < 0.65:
            return self.number()
        if pick < 0.8:
            return self.choice()
        if pick < 0.9:
            return {"type": rng.sample(["string", "integer", "number", "boolean", "null"], 2)}
        return {"type": rng.choice(["boolean", "null", "object", "array", "string"])}

    def whole(self):
        schema = self.members(3) if self.maybe(0.6) else self.schema(3)
        if not isinstance(schema, dict):
            schema = {}
        defs = {}
        while len(defs) < len(self.defs):
            name, depth = self.defs[len(defs)]
            defs[name] = self.schema(depth)
        if defs:
            schema["$defs"] = defs
        return schema


def make(seed):
    """The schema number `seed`."""
    return Maker(seed).whole()
