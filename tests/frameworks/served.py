"""The models that the frameworks ask, and the server that serves them.

Each recites one text, so the answer to every request is known. After the result of a tool its template makes it say
something else: the second text, or the letters that follow the last letter of the result. A result that does not reach
the prompt gives another answer.
"""

import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))

from reciting import ALPHABET, write_model  # noqa: E402
from rig import Berth  # noqa: E402

KEY = "the-key"
CONTEXT = 16384
ADA = '{"name": "Ada", "age": 36}'
ROME = '{"city": "Rome", "days": 3}'
REPORT = '{"city": "Rome", "celsius": 21}'
THOUGHT = "Hm, Rome it is."
SUN = "the sun shines on"  # what the tool finds
AFTER_SUN = ALPHABET[ALPHABET.index(SUN[-1]) + 1 :]


def call_of(name, arguments):
    return f'<tool_call>\n{{"name": "{name}", "arguments": {arguments}}}\n</tool_call>'


def template_of(marks, after_tool):
    """A template of the family that has these marks. `after_tool` is what stands before an answer to a tool's result."""
    return (
        f"{{# {marks} #}}{{{{ tools }}}}"
        "{% for m in messages %}{{ m.role }}: {{ m.content }} {{ m.tool_calls }}\n{% endfor %}"
        f"assistant:{{{{ {after_tool} if messages[-1].role == 'tool' else '\n' }}}}"
    )


LAST_LETTER, SECOND = "messages[-1].content[-1:]", "'\t'"
WEATHER = call_of("weather", ROME)
MODELS = {  # its text, the one after a tool's result, and its marks
    "tiny": ("", "", "<tool_call>"),
    "caller": (WEATHER, "", "<tool_call>"),
    "talker": (f"I look. {WEATHER}", "", "<tool_call>"),
    "twice": (f"{WEATHER}\n{call_of('weather', ROME.replace('Rome', 'Oslo'))}", "", "<tool_call>"),
    "reporter": (WEATHER, call_of("final_result", REPORT), "<tool_call>"),
    "writer": (WEATHER, REPORT, "<tool_call>"),
    "person": (ADA, "", "<tool_call>"),
    "person-caller": (call_of("Person", ADA), "", "<tool_call>"),
    "mender": (call_of("Person", ADA), call_of("Person", ADA.replace("36", "6")), "<tool_call>"),
    "two-persons": (f"{call_of('Person', ADA)}\n{call_of('Person', ADA.replace('Ada', 'Bob'))}", "", "<tool_call>"),
    "people": (f'{{"tasks": [{ADA}, {ADA.replace("Ada", "Bob")}]}}', "", "<tool_call>"),
    "people-caller": (
        call_of("IterablePerson", f'{{"tasks": [{ADA}, {ADA.replace("Ada", "Bob")}]}}'),
        "",
        "<tool_call>",
    ),
    "hand-over": (call_of("transfer_to_other", "{}"), "", "<tool_call>"),
    "thinker": (f"<think>\n{THOUGHT}\n</think>\n\n{ALPHABET}", "", "<tool_call><think>"),
    "thinking-caller": (f"<think>\n{THOUGHT}\n</think>\n\n{WEATHER}", "", "<tool_call><think>"),
    "thinking-person": (f"<think>\n{THOUGHT}\n</think>\n\n{ADA}", "", "<tool_call><think>"),
}


def start(berth, directory):
    models = os.path.join(directory, "models")
    os.mkdir(models)
    for name, (text, second, marks) in MODELS.items():
        template = template_of(marks, SECOND if second else LAST_LETTER)
        write_model(os.path.join(models, f"{name}.gguf"), text, context=CONTEXT, template=template, second=second)
    with open(os.path.join(directory, "keys"), "w") as f:
        f.write(KEY + "\n")
    server = Berth(berth, models, "--api-key-file", os.path.join(directory, "keys"), "--context", str(CONTEXT))
    server.wait_until_ready("/readyz")
    return server
