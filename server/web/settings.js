// settings.js - the controls of sampling, and boxes for JSON. An empty control leaves its field out of the
// request.

// name, label, least, most, step
const SAMPLING = [
    ['max_tokens', 'Longest answer (tokens)', 1, 1000000, 1],
    ['temperature', 'Temperature', 0, 2, 0.05],
    ['top_p', 'Top p', 0, 1, 0.01],
    ['top_k', 'Top k', -1, 100000, 1],
    ['min_p', 'Min p', 0, 1, 0.01],
    ['repetition_penalty', 'Repetition penalty', 0.0625, 16, 0.05],
    ['presence_penalty', 'Presence penalty', -2, 2, 0.1],
    ['frequency_penalty', 'Frequency penalty', -2, 2, 0.1],
    ['seed', 'Seed', 0, 4294967295, 1],
];

// Controls kept under `name`: {element, values(), defaults(model)}. `own` is what the panel sends for empty
// ones.
function samplingControls(name, own = {}) {
    const kept = readStored(name, {});
    const inputs = {};
    function keep() {
        const texts = Object.entries({...inputs, stop}).map(([key, input]) => [key, input.value]);
        writeStored(name, Object.fromEntries(texts));
    }
    const rows = SAMPLING.map(([key, label, min, max, step]) => {
        inputs[key] = make('input',
            {type: 'number', min, max, step: step === 1 ? 1 : 'any', inputmode: 'decimal', oninput: keep});
        inputs[key].value = kept[key] ?? '';
        return field(label, inputs[key]);
    });
    const stop = make('textarea', {rows: 2, oninput: keep, spellcheck: 'false'});
    stop.value = kept.stop ?? '';
    function values() {
        const out = {...own};
        for (const [key, input] of Object.entries(inputs)) {
            if (input.value !== '' && !Number.isNaN(input.valueAsNumber)) {
                out[key] = input.valueAsNumber;
            }
        }
        const stops = stop.value.split('\n').filter((line) => line !== '').slice(0, 4);
        return stops.length ? {...out, stop: stops} : out;
    }
    function clear() {
        Object.values(inputs).forEach((input) => {
            input.value = '';
        });
        stop.value = '';
        keep();
    }
    return {
        element: make('div', null, make('div', {class: 'grid'}, rows),
            field('Stop texts', stop, 'one a line, at most four'), button('Reset', clear, {class: 'quiet'})),
        values,
        // What the server takes where a control is empty.
        defaults(model) {
            for (const [key, input] of Object.entries(inputs)) {
                input.placeholder = own[key] ?? model?.default_parameters?.[key] ?? '';
            }
        },
    };
}

// A box for JSON: {element, read()}. read() is undefined for an empty box, and throws what is wrong.
function jsonBox(label, hint, name) {
    const why = make('p', {class: 'wrong', role: 'alert'});
    const area = make('textarea', {
        rows: 5,
        spellcheck: 'false',
        class: 'mono',
        oninput: () => {
            writeStored(name, area.value);
            why.textContent = '';
            area.removeAttribute('aria-invalid');
        }
    });
    area.value = readStored(name, '');
    return {
        element: make('div', null, field(label, area, hint), why),
        read() {
            if (area.value.trim() === '') {
                return undefined;
            }
            try {
                return JSON.parse(area.value);
            } catch (error) {
                why.textContent = error.message;
                area.setAttribute('aria-invalid', 'true');
                throw new Error(label + ' is no JSON: ' + error.message);
            }
        },
    };
}
