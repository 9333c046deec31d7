// panel_models.js - the models of the volume: what they are, what they can do, and why one cannot be used.

const LOADING_POLL = 1000;
const IDLE_POLL = 10000;

// What the list says of each state of /v1/models, and the look of that.
const STATES =
    new Map([['mapped', ['ready', 'good']], ['loading', ['loading', 'busy']], ['failed', ['failed', 'bad']]]);

// A model that is mapped is opened next: until then it is not known what it can do.
function stateOf({state, generates, chats}) {
    if (state === 'mapped' && generates === null) {
        return ['opening', 'busy'];
    }
    const mute = state === 'mapped' && generates === false && !chats;
    return mute ? ['cannot answer', 'warn'] : STATES.get(state) ?? [state, 'busy'];
}

// Names and values of what is known about a model.
function factsOf(model) {
    const berth = model.berth ?? {};
    const resident = berth.bytes_mapped ? Math.round(100 * berth.bytes_resident / berth.bytes_mapped) : 0;
    const context = model.context_length && countText(model.context_length) + ' tokens';
    const trained = berth.context > model.context_length ? ' of ' + countText(berth.context) : '';
    const isOwnName = model.root === model.id;
    return [
        ['Kind', berth.kind],
        ['Architecture', berth.architecture],
        ['Parameters', berth.parameters && countText(berth.parameters)],
        ['Quantization', berth.quantization],
        ['Context', context && context + trained],
        ['Size', berth.bytes_mapped > 0 && bytesText(berth.bytes_mapped) + ', ' + resident + ' % in memory'],
        [
            'Keys and values',
            berth.kv_type && bytesText(berth.kv_bytes_per_token) + ' a token, ' + berth.kv_type
        ],
        ['Loaded in', berth.state === 'mapped' && berth.load_seconds > 0 && secondsText(berth.load_seconds)],
        ['Format', berth.format && berth.format + (berth.files > 1 ? ', ' + berth.files + ' files' : '')],
        ['File', berth.path],
        ['Alias of', !isOwnName && model.root],
        ['Aliases', berth.aliases?.length > 0 && isOwnName && berth.aliases.join(', ')],
    ].filter(([, value]) => value);
}

function factRow([name, value]) {
    return make('div', null, make('dt', null, name), make('dd', null, value));
}

function modelCard(model) {
    const berth = model.berth ?? {};
    const [state, look] = stateOf(berth);
    return make('article', {class: 'card', 'aria-label': model.id},
        make('h3', null, model.id, make('span', {class: 'badge ' + look}, state)),
        berth.name && berth.name !== model.id && make('p', {class: 'dim'}, berth.name),
        berth.reason && make('p', {class: 'wrong'}, berth.reason),
        berth.state !== 'failed' && berth.lacks &&
            make('p', {class: 'dim'}, (berth.generates ? 'Cannot chat: ' : 'Cannot answer: ') + berth.lacks),
        make('dl', null, factsOf(model).map(factRow)),
        make('p', {class: 'buttons'}, canChat(model) && button('Chat', () => openPanel('chat', model.id)),
            canComplete(model) && button('Complete', () => openPanel('completion', model.id)),
            copyButton(() => model.id, 'Copy id')));
}

function loadingBar({done, total}) {
    return make('div', {class: 'card'}, make('p', null, 'Loading models: ' + done + ' of ' + total),
        make('progress', {max: total || 1, value: done, 'aria-label': 'Models that were tried'}));
}

function emptyVolume() {
    return make('div', {class: 'empty'}, make('h3', null, 'No models'),
        make('p', null,
            'Put a .gguf file into the directory that --models names, then start the server again.'));
}

function buildModels(root) {
    const progress = make('div');
    const cards = make('div', {class: 'cards'});
    let timer = 0;
    let shown = '';
    root.append(make('h2', null, 'Models'), progress, cards);

    // Cards are built anew only when something changed, so focus and selection stay.
    function show() {
        const now = JSON.stringify([modelList.all, modelList.error]);
        if (now === shown) {
            return;
        }
        shown = now;
        const found = modelList.all.length ? modelList.all.map(modelCard) : [emptyVolume()];
        const wrong = make('p', {class: 'wrong', role: 'alert'}, modelList.error);
        cards.replaceChildren(...(modelList.error ? [wrong] : found));
    }

    async function poll() {
        clearTimeout(timer);
        await refreshModels();
        const ready = await readiness();
        const loading = ready.models && ready.models.done < ready.models.total;
        progress.replaceChildren(...(loading ? [loadingBar(ready.models)] : []));
        const busy = loading || modelList.all.some((model) => stateOf(model.berth ?? {})[1] === 'busy');
        timer = setTimeout(poll, busy ? LOADING_POLL : IDLE_POLL);
    }

    modelList.watchers.add(show);
    return {show: poll, hide: () => clearTimeout(timer)};
}

panels.push({name: 'models', title: 'Models', order: 10, build: buildModels});
