// dom.js - builds elements. Text always becomes a text node, so nothing that a model writes is read as HTML.

const SVG = 'http://www.w3.org/2000/svg';
const SVG_TAGS = new Set(['svg', 'g', 'path', 'line', 'rect', 'polyline', 'text']);

// An element. Attributes: onNAME adds a listener, true sets an empty attribute, false, null and undefined set
// none. Children are elements and texts, also in arrays; null and false are left out.
function make(tag, attributes, ...children) {
    const element = SVG_TAGS.has(tag) ? document.createElementNS(SVG, tag) : document.createElement(tag);
    for (const [name, value] of Object.entries(attributes ?? {})) {
        if (name.startsWith('on')) {
            element.addEventListener(name.slice(2), value);
        } else if (value === true) {
            element.setAttribute(name, '');
        } else if (value !== false && value !== null && value !== undefined) {
            element.setAttribute(name, value);
        }
    }
    element.append(
        ...children.flat().filter((child) => child !== null && child !== undefined && child !== false));
    return element;
}

const byId = (id) => document.getElementById(id);

function button(text, onclick, attributes) {
    return make('button', {type: 'button', onclick, ...attributes}, text);
}

// A folded part with a summary line.
function fold(summary, attributes, ...children) {
    return make('details', attributes, make('summary', null, summary), ...children);
}

let uniqueIds = 0;

// A labelled control; `hint` is read with it.
function field(label, control, hint) {
    const id = 'field' + ++uniqueIds;
    control.id = id;
    if (hint) {
        control.setAttribute('aria-describedby', id + 'hint');
    }
    return make('div', {class: 'field'}, make('label', {for: id
    }, label), control, hint && make('small', {id: id + 'hint'}, hint));
}

function checkbox(label, checked, onchange) {
    const box = make('input', {type: 'checkbox', onchange: () => onchange(box.checked)});
    box.checked = checked;
    return make('label', {class: 'check'}, box, label);
}

function choice(options, value, onchange) {
    const select = make('select', {onchange: () => onchange(select.value)},
        options.map(([name, text]) => make('option', {value: name}, text)));
    select.value = value;
    return select;
}

// Says a sentence to screen readers.
function say(text) {
    byId('said').textContent = text;
}

// Browsers give the clipboard to secure pages alone; elsewhere a selected field is copied.
async function copyText(text) {
    if (navigator.clipboard) {
        await navigator.clipboard.writeText(text);
        return;
    }
    const area = make('textarea', {class: 'unseen'});
    area.value = text;
    document.body.append(area);
    area.select();
    document.execCommand('copy');
    area.remove();
}

function copyButton(textOf, label = 'Copy') {
    const copy = button(label, async () => {
        await copyText(textOf());
        copy.textContent = 'Copied';
        say('Copied');
        setTimeout(() => {
            copy.textContent = label;
        }, 1500);
    }, {class: 'quiet'});
    return copy;
}

// An amount with its unit: 12 KiB, 3.4 GiB.
function bytesText(bytes) {
    const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB'];
    let unit = 0;
    while (bytes >= 1024 && unit + 1 < units.length) {
        bytes /= 1024;
        unit++;
    }
    return shortNumber(bytes) + ' ' + units[unit];
}

function countText(count) {
    const units = ['', ' k', ' M', ' G', ' T'];
    let unit = 0;
    const least = count < 10000 ? 10000 : 1000;
    while (count >= least && unit + 1 < units.length) {
        count /= 1000;
        unit++;
    }
    return shortNumber(count) + units[unit];
}

function shortNumber(number) {
    if (number >= 100) {
        return String(Math.round(number));
    }
    return String(Number(number >= 0.1 ? number.toPrecision(3) : number.toFixed(3)));
}

function secondsText(seconds) {
    return seconds < 1 ? shortNumber(seconds * 1000) + ' ms' : shortNumber(seconds) + ' s';
}
