// panel_chat.js - conversations with models that chat. They are kept in this browser alone.

const CHATS_MOST = 100;
const ASKED_LOGPROBS = 5;

// ---- conversations that are kept ----

const keptChats = () => readStored('chats', []);

const chatTitle = (chat) =>
    (chat.messages.find((message) => message.role === 'user')?.content ?? 'Empty').trim().slice(0, 60);

// The newest comes first. Tokens with their probabilities are left out: they are many. Where there is no more
// room, the oldest go.
function keepChat(chat) {
    const bare = {
        ...chat,
        messages: chat.messages.map(
            (message) => ({...message, tokens: message.role === 'assistant' ? [] : undefined}))
    };
    let all = [bare, ...keptChats().filter((one) => one.id !== chat.id)].slice(0, CHATS_MOST);
    while (!writeStored('chats', all) && all.length > 1) {
        all = all.slice(0, -1);
    }
}

const newChat = () => ({id: Date.now().toString(36) + Math.random().toString(36).slice(2, 6), messages: []});

// ---- a request ----

// A message as the server wants it. Reasoning goes back with calls alone, whose thread it is.
function sentMessage({role, content, tool_calls: calls, tool_call_id: id, reasoning}) {
    if (role === 'tool') {
        return {role, content, tool_call_id: id};
    }
    if (!calls?.length) {
        return {role, content};
    }
    return {role, content, tool_calls: calls, ...(reasoning ? {reasoning_content: reasoning} : {})};
}

const EFFORTS = [['', "the model's own"], ...['none', 'low', 'medium', 'high'].map((name) => [name, name])];

const FORMATS = [['text', 'Text'], ['json_object', 'JSON object'], ['json_schema', 'JSON schema']];

function responseFormat(kind, schema) {
    if (kind === 'json_object') {
        return {type: kind};
    }
    return kind === 'json_schema' && schema !== undefined
        ? {type: kind, json_schema: {name: 'answer', schema, strict: true}}
        : undefined;
}

// The settings beside the conversation: {element, body(), defaults(model)}.
function chatSettings() {
    const kept = readStored('chat-settings', {});
    const keep = () => writeStored('chat-settings', kept);
    const system = make('textarea', {
        rows: 4,
        oninput: () => {
            kept.system = system.value;
            keep();
        }
    });
    system.value = kept.system ?? '';
    const sampling = samplingControls('chat-sampling');
    const schema = jsonBox('JSON schema', 'the answer keeps this form', 'chat-schema');
    const tools = jsonBox('Tools', 'an array, as in the field tools of a request', 'chat-tools');
    const format = choice(FORMATS, kept.format ?? 'text', (value) => {
        kept.format = value;
        schema.element.hidden = value !== 'json_schema';
        keep();
    });
    const toolChoice =
        choice(['auto', 'none', 'required'].map((name) => [name, name]), kept.choice ?? 'auto', (value) => {
            kept.choice = value;
            keep();
        });
    const effort = choice(EFFORTS, kept.effort ?? '', (value) => {
        kept.effort = value;
        keep();
    });
    schema.element.hidden = format.value !== 'json_schema';
    const shades = checkbox('Shade tokens by probability', kept.shades === true, (on) => {
        kept.shades = on;
        keep();
    });
    return {
        element: make('div', {class: 'settings'}, field('System text', system),
            fold('Sampling', null, sampling.element, field('Reasoning effort', effort)),
            fold('Form of the answer', null, field('Format', format), schema.element),
            fold('Tools', null, tools.element, field('Tool choice', toolChoice)), shades),
        system: () => system.value.trim(),
        defaults: sampling.defaults,
        body() {
            const asked = tools.read();
            return {
                ...sampling.values(),
                ...(effort.value ? {reasoning_effort: effort.value} : {}),
                response_format:
                    responseFormat(format.value, format.value === 'json_schema' ? schema.read() : undefined),
                ...(asked ? {tools: asked, tool_choice: toolChoice.value} : {}),
                ...(kept.shades ? {logprobs: true, top_logprobs: ASKED_LOGPROBS} : {}),
            };
        },
    };
}

// ---- the panel ----

function buildChat(root) {
    let chat = newChat();
    let running = null;
    let views = [];
    const forgotten = new Set(); // ids, so that an answer that ends late does not bring one back
    const picker = modelPicker(canChat, 'chat-model');
    const settings = chatSettings();
    picker.onchange(settings.defaults);
    const log = make('div', {class: 'log', role: 'log', 'aria-label': 'Conversation', tabindex: 0});
    const history = make('ul', {class: 'history'});
    const wrong = make('p', {class: 'wrong', role: 'alert'});
    const input = make('textarea', {
        rows: 2,
        'aria-label': 'Message',
        placeholder: 'Write a message. Enter sends, Shift+Enter begins a line.',
        onkeydown: typed
    });
    const submit = make('button', {class: 'main', type: 'submit'}, 'Send');
    const stop = button('Stop', () => running?.abort(), {class: 'stop', hidden: true, title: 'Escape'});

    function typed(event) {
        if (event.key === 'Enter' && !event.shiftKey && !event.isComposing) {
            event.preventDefault();
            sendInput();
        }
    }

    function isAtEnd() {
        return log.scrollHeight - log.scrollTop - log.clientHeight < 60;
    }

    function updateViews() {
        const follow = isAtEnd();
        views.forEach((view, i) => {
            const last = i === views.length - 1;
            view.update(last && running !== null, last);
        });
        if (follow) {
            log.scrollTop = log.scrollHeight;
        }
    }

    function addView(message) {
        const at = chat.messages.indexOf(message);
        const view = messageView(message, {
            edit: (text) => goOnFrom(at, [{role: 'user', content: text}]),
            again: () => goOnFrom(at, []),
            results: (messages) => goOnFrom(at + 1, messages),
        });
        views.push(view);
        log.append(view.element);
    }

    function greet() {
        return make('div', {class: 'empty'}, make('h3', null, 'Begin a conversation'),
            make('p', null,
                modelList.all.some(canChat)
                    ? 'Ask a model something. What you write stays between this browser and this server.'
                    : 'No model here can chat yet. The panel Models says what each one lacks.'));
    }

    function showChat() {
        views = [];
        log.replaceChildren();
        chat.messages.forEach(addView);
        if (chat.messages.length === 0) {
            log.append(greet());
        }
        updateViews();
        log.scrollTop = log.scrollHeight;
        showHistory();
    }

    function openChat(one) {
        running?.abort();
        chat = one;
        wrong.textContent = '';
        showChat();
        input.focus();
    }

    function historyItem(one) {
        const title = chatTitle(one);
        const current = one.id === chat.id ? 'true' : null;
        return make('li', null, button(title, () => openChat(one), {class: 'entry', 'aria-current': current}),
            button('×', () => forget(one), {class: 'quiet', 'aria-label': 'Delete ' + title}));
    }

    function showHistory() {
        const all = keptChats();
        history.replaceChildren(...all.map(historyItem));
        clear.hidden = all.length === 0;
    }

    function forget(one) {
        forgotten.add(one.id);
        writeStored('chats', keptChats().filter((other) => other.id !== one.id));
        if (one.id === chat.id) {
            openChat(newChat());
        } else {
            showHistory();
        }
    }

    const clear = button('Clear history', () => {
        if (confirm('Delete all conversations that this browser keeps?')) {
            keptChats().concat(chat).forEach((one) => forgotten.add(one.id));
            writeStored('chats', []);
            openChat(newChat());
        }
    }, {class: 'quiet'});

    function setRunning(abort) {
        running = abort;
        submit.hidden = abort !== null;
        stop.hidden = abort === null;
    }

    // Drops what comes at `index` and after it, adds messages, and asks for an answer.
    function goOnFrom(index, messages) {
        if (running) {
            return;
        }
        chat.messages = [...chat.messages.slice(0, index), ...messages];
        showChat();
        answer();
    }

    function requestBody() {
        const before = chat.messages.filter(
            (message) => !(message.role === 'assistant' && message.error && !message.content));
        const system = settings.system();
        return {
            model: picker.value(),
            messages: [...(system ? [{role: 'system', content: system}] : []), ...before.map(sentMessage)],
            ...settings.body(),
        };
    }

    async function stream(body, message, abort) {
        const watch = stopwatch();
        const update = paced(updateViews);
        try {
            for await (const chunk of chunksOf('v1/chat/completions', body, abort.signal)) {
                if (addChatChunk(message, chunk)) {
                    watch.mark();
                }
                message.stats = watch.stats(message.usage);
                update();
            }
        } catch (error) {
            if (error.name === 'AbortError') {
                message.finish = 'stopped';
            } else {
                message.error = error.message;
            }
        }
    }

    async function answer() {
        let body = null;
        wrong.textContent = '';
        try {
            body = requestBody();
        } catch (error) {
            wrong.textContent = error.message;
            return;
        }
        const asked = chat;
        const message =
            {role: 'assistant', content: '', reasoning: '', tool_calls: [], tokens: [], model: body.model};
        const abort = new AbortController();
        setRunning(abort);
        chat.messages.push(message);
        addView(message);
        updateViews();
        log.scrollTop = log.scrollHeight;
        say('The model answers');
        await stream(body, message, abort);
        if (running === abort) {
            setRunning(null);
        }
        if (!forgotten.has(asked.id)) {
            keepChat(asked);
        }
        updateViews();
        showHistory();
        say(message.error ? 'The answer failed' : 'The answer is complete');
    }

    function sendInput() {
        const text = input.value.trim();
        if (text === '' || running) {
            return;
        }
        input.value = '';
        goOnFrom(chat.messages.length, [{role: 'user', content: text}]);
    }

    const wideEnough = window.innerWidth > 1000;
    root.classList.add('chat');
    root.append(make('h2', {class: 'unseen'}, 'Chat'),
        fold('History', {class: 'side', open: wideEnough},
            button('New chat', () => openChat(newChat()), {class: 'wide-button'}), history, clear),
        make('div', {class: 'middle'}, picker.element, log, wrong,
            make('form', {
                class: 'composer',
                onsubmit: (event) => {
                    event.preventDefault();
                    sendInput();
                }
            },
                input, submit, stop)),
        fold('Settings', {class: 'side', open: wideEnough}, settings.element));
    root.addEventListener('keydown', (event) => {
        if (event.key === 'Escape' && running) {
            running.abort();
            input.focus();
        }
    });
    modelList.watchers.add(() => chat.messages.length === 0 && showChat());
    showChat();
    return {pick: picker.pick};
}

panels.push({name: 'chat', title: 'Chat', order: 20, build: buildChat, show: () => refreshModels()});
