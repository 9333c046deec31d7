"""Uses the page /ui in a headless Chromium, as a person does.

Each test gets a page of its own, with storage of its own. After each test the page must have logged no error, thrown
nothing, and asked nobody but its own server.
"""

import glob
import json
import os
import sys
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

import chromium  # noqa: E402
from reciting import write_model  # noqa: E402
from rig import Berth  # noqa: E402

SHOTS = os.environ.get("SHOTS")
MARKDOWN = """# A berth

A **berth** is where a *ship* lies, `moored` or at anchor; see [a page](https://ship.example/berth).

- first
- second
  - below it

1. one
2. two

| ship | length |
|---|---|
| Ark | 137 |

> It floats.

```python
def moor(ship):
    return "<b>" + ship
```
"""
HOSTILE = """<img src=x onerror=document.title='broken'> <script>document.title='broken'</script>

[a](javascript:document.title='broken') ![b](https://evil.example/b.png) <b onclick=x>c</b>

| <img src=x onerror=document.title='broken'> | d |
|---|---|
| <iframe src=https://evil.example> | e |
"""
KEY = "the-key"


def write_models(directory):
    os.mkdir(directory)
    write_model(os.path.join(directory, "writer.gguf"), MARKDOWN)
    write_model(os.path.join(directory, "hostile.gguf"), HOSTILE)
    write_model(os.path.join(directory, "slow.gguf"), "never ending " * 300, layers=12, width=16384)
    write_model(os.path.join(directory, "plain.gguf"), "and so on.", template="")
    with open(os.path.join(directory, "broken.gguf"), "wb") as out:
        out.write(b"GGUF\3\0\0\0 and then nothing that makes sense")


def opened(page, server, panel=""):
    page.go(f"http://127.0.0.1:{server.port}/ui#{panel}")
    return page


def picked(page, server, model):
    """The chat with a model picked."""
    opened(page, server, "chat")
    page.wait(f"document.querySelector('.panel-chat select option[value={model}]') !== null")
    page.pick(".panel-chat .middle select", model)
    return page


def ask(page, text):
    page.click(".composer textarea")
    page.type(text)
    page.press("Enter")


def answered(page):
    page.has(".message.assistant .stats", "first after")
    page.wait("!document.querySelector('.message.running')")


def keep_bodies(page):
    """From here on `sent` has the bodies of the page's requests."""
    page.run(
        "window.sent = []; window.fetch = ((fetch) => (path, options) => {"
        "if (options?.body) sent.push(JSON.parse(options.body)); return fetch(path, options); })(window.fetch); 0"
    )


def shot(page, name):
    if SHOTS:
        page.shot(os.path.join(SHOTS, name + ".png"))


# ---- the tests; each is a function of a page and the server ----


def test_the_models_are_listed_with_their_states(page, server):
    opened(page, server)
    for model in ("writer", "hostile", "slow", "plain"):
        page.has(".card", model)
    page.has(".card .badge", "failed")
    page.has(".card .wrong", "broken.gguf: ")
    page.has("#state", "ready")
    shot(page, "models")


def test_loading_is_shown_with_its_progress(page, server):
    listed = {"object": "list", "data": [
        {"id": "first", "root": "first", "berth": {"state": "mapped", "generates": None, "chats": None, "aliases": []}},
        {"id": "second", "root": "second", "berth": {"state": "loading", "aliases": []}},
    ]}
    page.reply_to("/v1/models", json.dumps(listed), "application/json")
    waits = {"status": "loading", "reason": "models are loading", "models": {"done": 1, "total": 3}}
    page.reply_to("/readyz", json.dumps(waits), "application/json")
    opened(page, server)
    page.has(".card p", "Loading models: 1 of 3")
    page.has("#state", "loading 1/3")
    page.has("[aria-label=first] .badge", "opening")
    page.has("[aria-label=second] .badge", "loading")
    assert page.run("document.querySelector('progress').value") == 1
    shot(page, "loading")
    page.reply_to("/readyz", json.dumps({"status": "ready"}), "application/json")
    page.wait("document.querySelector('progress') === null")


def test_a_card_leads_to_a_chat_with_its_model(page, server):
    opened(page, server)
    page.has(".card", "writer")
    page.run("document.querySelector('[aria-label=writer] button').id = 'wanted'")
    page.click("#wanted", "Chat")
    page.has(".composer")
    assert page.run("document.querySelector('.panel-chat .middle select').value") == "writer"
    assert page.run("location.hash") == "#chat"


def test_an_answer_streams_and_its_markdown_is_shown(page, server):
    picked(page, server, "writer")
    ask(page, "What is a berth?")
    answered(page)
    assert page.text(".message.user .text") == "What is a berth?"
    for selector, text in (
        (".assistant .text strong", "berth"),
        (".assistant .text em", "ship"),
        (".assistant .text li li", "below it"),
        (".assistant .text ol li", "two"),
        (".assistant .text td", "137"),
        (".assistant .text blockquote", "It floats."),
        (".assistant .code pre", 'return "<b>" + ship'),
        (".assistant .stats", "tokens/s"),
    ):
        page.has(selector, text)
    link = "document.querySelector('.assistant .text a')"
    assert page.run(f"[{link}.href, {link}.rel]") == ["https://ship.example/berth", "noopener noreferrer"]
    shot(page, "chat")


def test_what_a_model_writes_is_never_html(page, server):
    picked(page, server, "hostile")
    ask(page, "Do your worst")
    answered(page)
    page.has(".assistant .text", "<img src=x onerror=document.title='broken'>")
    page.has(".assistant .text", "<script>document.title='broken'</script>")
    page.has(".assistant .text td", "<iframe src=https://evil.example>")
    assert page.run("document.querySelectorAll('.log img, .log script, .log iframe, .log b').length") == 0
    assert set(page.run("[...document.querySelectorAll('.log a')].map((link) => link.protocol)")) == {"https:"}
    assert page.run("document.title") == "Chat · berth"
    # The policy stands behind it: the browser itself refuses HTML from texts.
    insert = "document.body.insertAdjacentHTML('beforeend', '<i>x</i>')"
    assert page.run(f"(() => {{ try {{ {insert}; return 'taken'; }} catch (error) {{ return error.name; }} }})()") == "TypeError"
    assert page.run("document.querySelector('body > i')") is None
    page.complaints.clear()


def test_a_completion_is_never_html(page, server):
    opened(page, server, "completion")
    page.wait("document.querySelector('.panel-completion option[value=hostile]') !== null")
    page.pick(".panel-completion select", "hostile")
    page.click(".panel-completion textarea")
    page.run("document.querySelector('.panel-completion textarea').select()")
    page.type("text\n")
    page.click("button", "Complete")
    page.has(".output mark", "<img src=x onerror=document.title='broken'>")
    page.has(".panel-completion .stats", "first after")
    assert page.run("document.querySelectorAll('.output img, .output script').length") == 0
    shot(page, "completion")


def test_a_button_and_escape_stop_an_answer(page, server):
    for stop in (lambda: page.click("button.stop"), lambda: page.press("Escape")):
        picked(page, server, "slow")
        ask(page, "Go on")
        page.has(".message.running .text", "never")
        stop()
        page.has(".message.assistant .stats", "stopped")
        assert page.run("!document.querySelector('.message.running')")
        page.has("button.main", "Send")
        page.click("button", "New chat")


def test_a_message_is_edited_and_an_answer_made_anew(page, server):
    picked(page, server, "writer")
    ask(page, "First")
    answered(page)
    page.click("button", "Edit")
    page.wait("document.activeElement.tagName === 'TEXTAREA'")
    page.run("document.activeElement.select()")
    page.type("Second")
    page.click(".editor button", "Send")
    page.has(".message.user .text", "Second")
    answered(page)
    assert page.run("document.querySelectorAll('.message').length") == 2
    page.click("button", "Regenerate")
    answered(page)
    assert page.run("[...document.querySelectorAll('.message')].map((one) => one.classList[1])") == ["user", "assistant"]


def test_history_is_kept_in_the_browser_and_cleared(page, server):
    picked(page, server, "writer")
    ask(page, "Remember me")
    answered(page)
    opened(page, server, "chat")
    page.reload()
    page.click(".history .entry", "Remember me")
    page.has(".message.assistant strong", "berth")
    page.click("button", "Clear history")
    page.wait("document.querySelectorAll('.history li').length === 0")
    assert "Remember me" not in page.run("JSON.stringify(localStorage)")


def test_a_conversation_that_is_deleted_while_it_answers_stays_deleted(page, server):
    picked(page, server, "writer")
    ask(page, "First")
    answered(page)
    page.pick(".panel-chat .middle select", "slow")
    ask(page, "Second")
    page.has(".message.running .text", "never")
    page.click("button[aria-label^=Delete]")
    page.wait("document.querySelectorAll('.history li').length === 0")
    page.has("button.main", "Send")
    assert page.run("localStorage['berth.chats']") == "[]"


def test_tokens_are_shaded_by_their_probability(page, server):
    picked(page, server, "writer")
    page.click(".settings .check input")
    ask(page, "Shade it")
    answered(page)
    page.click(".tokens")
    page.press("ArrowRight")
    page.press("ArrowRight")
    page.has(".tokens .current")
    page.has(".told", "%")
    shot(page, "tokens")


def event(**delta):
    finish = delta.pop("finish", None)
    return "data: " + json.dumps({"choices": [{"index": 0, "delta": delta, "finish_reason": finish}]}) + "\n\n"


def call(index, name="", arguments="", number=None):
    return {"index": index, "id": number, "type": "function", "function": {"name": name, "arguments": arguments}}


def test_reasoning_and_calls_are_folded_and_results_go_back(page, server):
    first = [
        event(role="assistant", reasoning_content="They ask for <b>weather</b>."),
        event(tool_calls=[call(0, "weather", '{"city":', "call_1")]),
        event(tool_calls=[call(0, "", '"Kiel"}'), call(1, "clock", "{}", "call_2")]),
        event(finish="tool_calls"),
        "data: " + json.dumps({"choices": [], "warnings": ["not enforced: weather: format"]}) + "\n\n",
        "data: [DONE]\n\n",
    ]
    picked(page, server, "writer")
    page.reply_to("/v1/chat/completions", "".join(first))
    ask(page, "How is the weather?")
    page.has(".message.assistant .stats", "calls a tool")
    page.has(".reasoning summary", "Reasoning")
    assert page.run("document.querySelector('.reasoning').open") is False
    page.click(".reasoning summary")
    page.has(".reasoning pre", "They ask for <b>weather</b>.")
    page.click(".tool-call summary", "Calls weather")
    page.has(".tool-call pre", '"city": "Kiel"')
    page.has(".message .warn", "not enforced: weather: format")
    shot(page, "tools")
    page.click(".settings summary", "Sampling")
    page.run("[...document.querySelectorAll('.settings select')].find((one) => one.value === '').id = 'effort'")
    page.pick("#effort", "low")
    keep_bodies(page)
    page.reply_to("/v1/chat/completions", event(content="It rains.") + event(finish="stop") + "data: [DONE]\n\n")
    for result in ("rain", "noon"):
        page.run("[...document.querySelectorAll('.results textarea')].find((area) => area.value === '').focus()")
        page.type(result)
    page.click(".results button", "Send results")
    page.has(".message.assistant .text", "It rains.")
    page.has(".message.tool summary", "Result of weather")
    sent = page.run("sent[0]")
    assert sent["reasoning_effort"] == "low"
    assert [one["role"] for one in sent["messages"]] == ["user", "assistant", "tool", "tool"]
    assert sent["messages"][1]["reasoning_content"] == "They ask for <b>weather</b>."
    assert [one["function"]["arguments"] for one in sent["messages"][1]["tool_calls"]] == ['{"city":"Kiel"}', "{}"]
    assert sent["messages"][2] == {"role": "tool", "content": "rain", "tool_call_id": "call_1"}
    messages = "JSON.parse(localStorage['berth.chats'])[0].messages"
    kept = page.run(messages + ".map((one) => [one.role, one.tool_call_id ?? ''])")
    assert kept == [["user", ""], ["assistant", ""], ["tool", "call_1"], ["tool", "call_2"], ["assistant", ""]], kept


def test_a_schema_is_sent_and_a_broken_one_is_told(page, server):
    picked(page, server, "writer")
    page.click(".settings summary", "Form of the answer")
    page.run("document.querySelector('.settings details:nth-of-type(2) select').id = 'format'")
    page.pick("#format", "json_schema")
    page.click(".settings details:nth-of-type(2) textarea")
    page.type('{"type": ')
    ask(page, "Answer")
    page.has(".settings .wrong", "JSON")
    assert page.run("document.querySelectorAll('.message.assistant').length") == 0
    page.click(".settings details:nth-of-type(2) textarea")
    page.run("document.activeElement.setSelectionRange(99, 99)")
    page.type('"object"}')
    keep_bodies(page)
    page.reply_to("/v1/chat/completions", event(content="{}") + event(finish="stop") + "data: [DONE]\n\n")
    ask(page, "Answer")
    page.has(".message.assistant .text", "{}")
    wanted = {"type": "json_schema", "json_schema": {"name": "answer", "schema": {"type": "object"}, "strict": True}}
    assert page.run("sent[0].response_format") == wanted


def test_an_error_of_the_server_is_told(page, server):
    picked(page, server, "writer")
    page.click(".settings summary", "Sampling")
    page.run("document.querySelectorAll('.settings input[type=number]')[1].id = 'temperature'")
    page.click("#temperature")
    page.type("7")
    ask(page, "Too hot")
    page.has(".message .wrong", "temperature")
    assert len(page.complaints) == 1 and "400" in page.complaints[0], page.complaints
    page.complaints.clear()


def test_a_text_is_completed_and_continued(page, server):
    opened(page, server, "completion")
    page.wait("document.querySelector('.panel-completion option[value=plain]') !== null")
    page.pick(".panel-completion select", "plain")
    page.click(".panel-completion textarea")
    page.type("\n")
    page.press("Enter", modifiers=2)
    page.has(".output mark", "and so on.")
    assert page.run("document.querySelector('.panel-chat') === null")
    page.click("button", "Continue from here")
    page.wait("document.querySelector('.panel-completion textarea').value.endsWith('and so on.')")


def test_graphs_are_drawn_from_the_metrics(page, server):
    opened(page, server, "graphs")
    page.has(".graph .series", "allowed")
    page.wait("document.querySelectorAll('.graph polyline').length >= 4")
    assert page.run("document.querySelector('.graph svg').getAttribute('aria-label')").startswith("Tokens: generated")
    page.has(".panel-graphs td", "MiB")
    page.has(".panel-graphs th", "writer")
    shot(page, "graphs")


def test_the_reference_has_every_route_with_code_and_sends_requests(page, server):
    opened(page, server, "reference")
    page.has(".operation summary", "/v1/chat/completions")
    listed = set(json.loads(server.ask("GET", "/openapi.json")[1])["paths"])
    shown = page.run("[...document.querySelectorAll('.operation summary code')].map((one) => one.textContent)")
    assert set(shown) == listed
    page.click(".operation summary", "/v1/completions")
    page.has(".operation pre", f"curl http://127.0.0.1:{server.port}/v1/completions")
    shot(page, "reference")
    for language, text in (("Python", "urllib.request"), ("JavaScript", "await fetch(")):
        page.click(".operation button", language)
        page.has(".operation pre", text)
    page.click(".operation button", "Send it")
    page.has(".operation p", "Status 200")
    page.has(".operation pre", '"text_completion"')
    page.click(".panel-reference input[type=search]")
    page.type("readyz")
    page.wait("[...document.querySelectorAll('.operation')].filter((one) => one.checkVisibility()).length === 1")


def test_colours_change_and_are_remembered(page, server):
    opened(page, server)
    ground = "getComputedStyle(document.documentElement).backgroundColor"
    light = page.run(ground)
    page.click("#theme")
    page.click("#theme", "Light")
    page.wait(f"{ground} !== {json.dumps(light)}")
    page.reload()
    page.wait(f"{ground} !== {json.dumps(light)} && document.documentElement.dataset.theme === 'dark'")


def test_the_keyboard_alone_is_enough(page, server):
    opened(page, server)
    page.has(".card", "writer")
    page.press("Tab")
    assert page.run("document.activeElement.id") == "skip"
    page.press("Tab")
    page.press("Tab")
    assert page.run("document.activeElement.hash") == "#chat"
    page.press("Enter")
    page.has(".composer")
    page.wait("document.querySelector('.panel-chat option[value=writer]') !== null")
    for _ in range(40):
        page.press("Tab")
        if page.run("document.activeElement.getAttribute('aria-label')") == "Message":
            break
    page.type("By keys")
    page.press("Enter")
    page.has(".message.assistant .stats", "first after")


def test_a_key_is_asked_for_and_kept_in_the_tab(page, server):
    guarded = Berth(server.program, server.models, "--api-key-file", server.keys)
    guarded.wait_until_ready("/readyz")
    try:
        opened(page, guarded)
        page.has("#key", "API key")
        shot(page, "key")
        page.click("#key-value")
        page.type("wrong")
        page.press("Enter")
        page.has("#key-why", "does not take this key")
        page.press("Escape")
        page.has(".panel-models .wrong", "key")
        page.click("nav a[href='#chat']")
        page.click("nav a[href='#models']")
        page.wait("!document.querySelector('#key').open")
        page.click("#key-button")
        page.wait("document.querySelector('#key-value').value === 'wrong'")
        page.run("document.querySelector('#key-value').select()")
        page.type(KEY)
        page.click("#key button", "Use the key")
        page.has(".card", "writer")
        assert page.run("sessionStorage['berth.key']") == KEY
        assert KEY not in page.run("JSON.stringify(localStorage)")
        assert all("401" in one for one in page.complaints), page.complaints
        page.complaints.clear()
    finally:
        guarded.stop()


# ---- accessibility ----

AXE = "axe.run(document, {resultTypes: ['violations']}).then((found) => found.violations.map((one) => " \
      "one.id + ': ' + one.nodes.map((node) => node.html.slice(0, 160) + ' ' + node.failureSummary).join(' | ')))"


def assert_accessible(page, server, name):
    """Every panel with something in it keeps the rules of axe."""
    rules = glob.glob(os.path.join(sys.prefix, "lib", "python*", "site-packages", "*", "axe.min.js"))
    page.ask("Page.setBypassCSP", enabled=True)
    picked(page, server, "writer")
    page.run(open(rules[0], encoding="utf-8").read() + "; 0")
    answer = event(reasoning_content="Hm.") + event(content=MARKDOWN) + event(tool_calls=[call(0, "clock", "{}", "1")])
    page.reply_to("/v1/chat/completions", answer + event(finish="tool_calls") + "data: [DONE]\n\n")
    ask(page, "Show all")
    page.has(".results textarea")
    for panel in ("chat", "models", "completion", "graphs", "reference"):
        page.click(f"nav a[href='#{panel}']")
        page.wait(f"document.querySelector('.panel-{panel}')?.checkVisibility()")
        page.wait(f"document.querySelector('.panel-{panel}').innerText.length > 20")
        if panel == "graphs":
            page.wait("document.querySelectorAll('.graph polyline').length > 0")
        if panel == "reference":
            page.click(".operation summary", "/v1/completions")
            page.has(".operation pre", "curl")
        found = page.run(AXE)
        assert not found, f"{panel}: " + "\n".join(found)
        wide = page.run("document.documentElement.scrollWidth - innerWidth")
        assert wide <= 0, f"{panel} is {wide} pixels wider than the window"
        shot(page, f"{name}-{panel}")
    page.click("#key-button")
    page.has("#key h2")
    found = page.run(AXE)
    assert not found, "key: " + "\n".join(found)


def test_axe_finds_nothing_in_light(page, server):
    assert_accessible(page, server, "light")


def test_axe_finds_nothing_in_dark(page, server):
    page.look(dark=True)
    assert_accessible(page, server, "dark")


def test_axe_finds_nothing_at_phone_width(page, server):
    page.look(width=390, height=844)
    assert_accessible(page, server, "phone")


# ---- the frame ----


def run(test, browser, server):
    page = browser.page()
    try:
        test(page, server)
        assert not page.complaints, f"the page complains: {page.complaints}"
        foreign = [url for url in page.requests if not url.startswith(("http://127.0.0.1:", "data:"))]
        assert not foreign, f"the page asks others: {foreign}"
        assert page.requests
    except BaseException:
        shot(page, test.__name__)
        raise
    finally:
        page.close()


def main():
    passed = failed = 0
    only = os.environ.get("TEST", "")
    with tempfile.TemporaryDirectory() as directory:
        models, keys = os.path.join(directory, "models"), os.path.join(directory, "keys")
        write_models(models)
        with open(keys, "w", encoding="utf-8") as out:
            out.write(KEY + "\n")
        os.chmod(keys, 0o600)
        server = Berth(sys.argv[1], models)
        server.program, server.models, server.keys = sys.argv[1], models, keys
        browser = chromium.Chromium(chromium.find())
        try:
            server.wait_until_ready("/readyz")
            for name, test in list(globals().items()):
                if not name.startswith("test_") or only not in name:
                    continue
                try:
                    run(test, browser, server)
                    print(f"ok: {name}", flush=True)
                    passed += 1
                except Exception as e:  # noqa: BLE001: whatever it is, it is told, and the others go on
                    print(f"FAILED: {name}: {type(e).__name__}: {e}", flush=True)
                    failed += 1
        finally:
            browser.close()
            status = server.stop()
        if status != 0:
            print(f"FAILED: berth ended with {status}")
            failed += 1
    print(f"{passed} passed, {failed} failed, 0 skipped")
    sys.exit(failed > 0)


main()
