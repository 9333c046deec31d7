// message.js - one message of a conversation as an element that follows it.

const ROLES = {
    user: 'You',
    assistant: 'Model',
    tool: 'Tool result',
    system: 'System'
};

function prettyJson(text) {
    try {
        return JSON.stringify(JSON.parse(text), null, 2);
    } catch {
        return text;
    }
}

// A fold whose summary and text can change without closing it.
function foldedText(kind) {
    const summary = make('summary');
    const body = make('pre', {tabindex: 0});
    return {
        element: make('details', {class: kind}, summary, body),
        update(title, text) {
            summary.textContent = title;
            body.textContent = text;
        },
    };
}

// The folds of the calls of tools, of which there may be more with each update.
function toolCallViews() {
    const element = make('div');
    const views = [];
    return {
        element,
        update(calls) {
            calls.forEach((call, i) => {
                if (!views[i]) {
                    views[i] = foldedText('tool-call');
                    element.append(views[i].element);
                }
                const {name, arguments: given} = call.function;
                views[i].update('Calls ' + (name || '…'), prettyJson(given));
            });
        },
    };
}

// The body of an assistant's message: reasoning, text or shaded tokens, calls.
function answerBody(message) {
    const reasoning = foldedText('reasoning');
    const text = make('div', {class: 'text'});
    const calls = toolCallViews();
    let shades = null;
    function showShades() {
        if (!shades) {
            shades = tokenView();
            text.replaceWith(shades.element);
        }
        shades.update(message.tokens);
    }
    return {
        element: make('div', null, reasoning.element, text, calls.element),
        update(running) {
            reasoning.element.hidden = message.reasoning === '';
            reasoning.update(
                running && message.content === '' ? 'Thinking …' : 'Reasoning', message.reasoning);
            if (message.tokens.length) {
                showShades();
            } else {
                showMarkdown(text, message.content);
            }
            calls.update(message.tool_calls);
        },
    };
}

function plainBody(message) {
    if (message.role === 'tool') {
        const folded = foldedText('tool-call');
        folded.update('Result of ' + (message.name || message.tool_call_id), prettyJson(message.content));
        return folded.element;
    }
    return make('div', {class: 'text said'}, message.content);
}

// Replaces the text of a message by an editor until it is sent or left.
function editMessage(body, message, onsend) {
    const area = make('textarea', {rows: 4, 'aria-label': 'The message'});
    area.value = message.content;
    const leave = () => editor.replaceWith(body);
    const editor = make('form', {
        class: 'editor',
        onsubmit: (event) => {
            event.preventDefault();
            onsend(area.value);
        },
        onkeydown: (event) => {
            if (event.key === 'Escape') {
                event.stopPropagation();
                leave();
            }
        },
    },
        area,
        make('p', {class: 'buttons'}, make('button', {class: 'main', type: 'submit'}, 'Send'),
            button('Cancel', leave)));
    body.replaceWith(editor);
    area.focus();
}

// A form for the results of the calls that a message ends in.
function resultForm(message, onresults) {
    const areas = message.tool_calls.map(() => make('textarea', {rows: 2, class: 'mono', required: true}));
    return make('form', {
        class: 'results',
        onsubmit: (event) => {
            event.preventDefault();
            onresults(message.tool_calls.map((call, i) => ({
                role: 'tool',
                tool_call_id: call.id,
                name: call.function.name,
                content: areas[i].value
            })));
        },
    },
        areas.map((area, i) => field('Result of ' + message.tool_calls[i].function.name, area)),
        make('p', {class: 'buttons'}, make('button', {class: 'main', type: 'submit'}, 'Send results')));
}

// {element, update(running, last)}. `actions` are edit(text), again() and results(messages); `last` is
// whether it is the conversation's last message.
function messageView(message, actions) {
    const isAnswer = message.role === 'assistant';
    const body = isAnswer ? answerBody(message) : {element: plainBody(message), update() {}};
    const stats = make('span', {class: 'stats'});
    const wrong = make('p', {class: 'wrong', role: 'alert'});
    const warned = make('p', {class: 'warn'});
    const again = isAnswer && button('Regenerate', actions.again, {class: 'quiet'});
    const edit = message.role === 'user' &&
        button('Edit', () => editMessage(body.element, message, actions.edit), {class: 'quiet'});
    const foot = make('footer', null, stats, copyButton(() => message.content), edit, again);
    const more = make('div');
    const element = make('article', {class: 'message ' + message.role, 'aria-label': ROLES[message.role]},
        make('h3', null, message.model ?? ROLES[message.role]), body.element, wrong, warned, more, foot);
    return {
        element,
        update(running, last) {
            element.setAttribute('aria-busy', String(running));
            element.classList.toggle('running', running);
            body.update(running);
            stats.textContent = running ? 'answering … ' + statsText(message.stats)
                                        : statsText(message.stats, message.finish);
            wrong.textContent = message.error ?? '';
            warned.textContent = (message.warnings ?? []).join('; ');
            foot.querySelectorAll('button').forEach((one) => {
                one.hidden = running;
            });
            const asks = isAnswer && last && !running && message.tool_calls.length > 0;
            more.replaceChildren(...(asks ? [resultForm(message, actions.results)] : []));
        },
    };
}
