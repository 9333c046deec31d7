"""The environment that Hugging Face's transformers renders chat templates in, made of jinja2 alone."""
import datetime
import json

import jinja2
import jinja2.ext
import jinja2.sandbox


class Generation(jinja2.ext.Extension):
    """{% generation %}: what it holds is text, in a scope of its own."""
    tags = {"generation"}

    def parse(self, parser):
        line = next(parser.stream).lineno
        body = parser.parse_statements(("name:endgeneration",), drop_needle=True)
        return jinja2.nodes.CallBlock(self.call_method("text"), [], [], body).set_lineno(line)

    def text(self, caller):
        return caller()


def tojson(x, ensure_ascii=False, indent=None, separators=None, sort_keys=False):
    return json.dumps(x, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys)


def raise_exception(message):
    raise jinja2.exceptions.TemplateError(message)


def environment():
    made = jinja2.sandbox.ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=[Generation, jinja2.ext.loopcontrols])
    made.filters["tojson"] = tojson
    made.globals["raise_exception"] = raise_exception
    made.globals["strftime_now"] = lambda form: datetime.datetime.now().strftime(form)
    return made


def arguments(call):
    """A call whose arguments are values where they are JSON, not text."""
    try:
        return {**call, "arguments": json.loads(call["arguments"])}
    except (KeyError, TypeError, ValueError):
        return call


def message(given):
    """A message as berth gives it to a template: the text beside calls is never null, arguments are parsed, and calls
    that are null or none at all are left out."""
    made = {k: v for k, v in given.items() if k not in ("tool_calls", "function_call") or v}
    if "tool_calls" in made:
        made["tool_calls"] = [{**c, "function": arguments(c["function"])} if isinstance(c.get("function"), dict) else c
                              for c in made["tool_calls"]]
    if "function_call" in made:
        made["function_call"] = arguments(made["function_call"])
    if made.get("content") is None and ("tool_calls" in made or "function_call" in made):
        made["content"] = ""
    return made


def variables(request, bos="<s>", eos="</s>"):
    """What transformers passes for a chat request."""
    given = {"messages": [message(m) for m in request["messages"]], "tools": request.get("tools"),
        "documents": request.get("documents"),
             "add_generation_prompt": request.get("add_generation_prompt", True), "bos_token": bos,
             "eos_token": eos}
    given.update(request.get("chat_template_kwargs") or {})
    return given


def render(source, given):
    """The text, or None when jinja2 refuses."""
    try:
        return environment().from_string(source).render(**given)
    except Exception:  # of jinja2, or of Python where the template does what Python refuses
        return None
