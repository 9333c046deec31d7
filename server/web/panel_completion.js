// panel_completion.js - continues a text, for models that know no chat as well as for those that do.

const COMPLETION_TOKENS = 256; // the API's own default is short

function buildCompletion(root) {
    let running = null;
    let answer = '';
    let tokens = [];
    let shades = null;
    const picker = modelPicker(canComplete, 'completion-model');
    const sampling = samplingControls('completion-sampling', {max_tokens: COMPLETION_TOKENS});
    picker.onchange(sampling.defaults);
    const prompt =
        make('textarea', {rows: 8, onkeydown: typed, oninput: () => writeStored('prompt', prompt.value)});
    prompt.value = readStored('prompt', 'It is a truth universally acknowledged, that');
    const output = make('div',
        {class: 'output', role: 'group', 'aria-live': 'polite', 'aria-label': 'Completed text', tabindex: 0});
    const stats = make('span', {class: 'stats'});
    const wrong = make('p', {class: 'wrong', role: 'alert'});
    const submit = make('button', {class: 'main', type: 'submit', title: 'Ctrl+Enter'}, 'Complete');
    const stop = button('Stop', () => running?.abort(), {class: 'stop', hidden: true, title: 'Escape'});
    const goOn = button('Continue from here', () => {
        prompt.value += answer;
        writeStored('prompt', prompt.value);
        complete();
    }, {hidden: true});
    const copy = copyButton(() => answer);
    let wantShades = readStored('completion-shades', false);
    const shadesBox = checkbox('Shade tokens by probability', wantShades, (on) => {
        wantShades = on;
        writeStored('completion-shades', on);
    });

    function typed(event) {
        if (event.key === 'Enter' && (event.ctrlKey || event.metaKey)) {
            event.preventDefault();
            complete();
        }
    }

    function show() {
        if (shades) {
            shades.update(tokens);
            return;
        }
        output.replaceChildren(make('span', {class: 'dim'}, prompt.value), make('mark', null, answer));
    }

    function begin() {
        answer = '';
        tokens = [];
        wrong.textContent = stats.textContent = '';
        shades = wantShades ? tokenView() : null;
        output.replaceChildren(...(shades ? [shades.element] : []));
        setRunning(new AbortController());
        return {
            model: picker.value(),
            prompt: prompt.value,
            ...sampling.values(),
            ...(shades ? {logprobs: ASKED_LOGPROBS} : {})
        };
    }

    function setRunning(abort) {
        running = abort;
        submit.hidden = goOn.hidden = copy.hidden = abort !== null;
        stop.hidden = abort === null;
        output.setAttribute('aria-busy', String(abort !== null));
    }

    // How the answer ended.
    async function stream(body, watch, usage) {
        const update = paced(show);
        let finish = null;
        for await (const chunk of chunksOf('v1/completions', body, running.signal)) {
            const choice = chunk.choices?.[0];
            if (choice?.text) {
                watch.mark();
                answer += choice.text;
            }
            tokens.push(...tokensOf(choice?.logprobs));
            usage.last = chunk.usage ?? usage.last;
            finish = choice?.finish_reason ?? finish;
            stats.textContent = statsText(watch.stats(usage.last));
            update();
        }
        return finish;
    }

    async function complete() {
        if (running) {
            return;
        }
        const body = begin();
        const watch = stopwatch();
        const usage = {last: null};
        let finish = null;
        try {
            finish = await stream(body, watch, usage);
        } catch (error) {
            finish = 'stopped';
            wrong.textContent = error.name === 'AbortError' ? '' : error.message;
        }
        setRunning(null);
        goOn.hidden = copy.hidden = answer === '';
        show();
        stats.textContent = statsText(watch.stats(usage.last), finish);
    }

    copy.hidden = true;
    root.classList.add('split');
    const onsubmit = (event) => {
        event.preventDefault();
        complete();
    };
    root.append(make('form', {class: 'middle', onsubmit}, make('h2', null, 'Completion'), picker.element,
                    field('Text to continue', prompt, 'Ctrl+Enter completes, Escape stops'),
                    make('p', {class: 'buttons'}, submit, stop, goOn, copy, stats), wrong, output),
        fold('Settings', {class: 'side', open: window.innerWidth > 1000}, sampling.element, shadesBox));
    root.addEventListener('keydown', (event) => event.key === 'Escape' && running?.abort());
    return {pick: picker.pick};
}

panels.push({
    name: 'completion',
    title: 'Completion',
    order: 30,
    build: buildCompletion,
    show: () => refreshModels()
});
