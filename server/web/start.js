// start.js - the frame around the panels: navigation, the server's state, light and dark, the key.

const STATE_POLL = 5000;

// ---- panels ----

panels.sort((a, b) => a.order - b.order);

let currentPanel = null;

// Builds a panel at its first look. What build() returns has its show, hide and pick.
function buildPanel(panel) {
    panel.root =
        make('section', {class: 'panel panel-' + panel.name, 'aria-label': panel.title, hidden: true});
    byId('main').append(panel.root);
    Object.assign(panel, panel.build(panel.root));
}

function showPanel(panel) {
    if (panel === currentPanel) {
        return;
    }
    currentPanel?.hide?.();
    if (currentPanel) {
        currentPanel.root.hidden = true;
    }
    if (!panel.root) {
        buildPanel(panel);
    }
    currentPanel = panel;
    panel.root.hidden = false;
    panel.show?.();
    document.title = panel.title + ' · berth';
    for (const link of byId('nav').children) {
        link.toggleAttribute('aria-current', false);
        if (link.hash === '#' + panel.name) {
            link.setAttribute('aria-current', 'page');
        }
    }
}

function showAddressed() {
    showPanel(panels.find((panel) => '#' + panel.name === location.hash) ?? panels[0]);
}

// Shows a panel with a model picked.
function openPanel(name, model) {
    const panel = panels.find((one) => one.name === name);
    location.hash = name;
    showPanel(panel);
    panel.pick?.(model);
    panel.root.querySelector('form textarea')?.focus();
}

byId('nav').append(...panels.map((panel) => make('a', {href: '#' + panel.name}, panel.title)));
byId('skip').onclick = (event) => {
    event.preventDefault();
    byId('main').focus();
};
addEventListener('hashchange', showAddressed);

// ---- the server's state ----

const STATE_LOOKS = new Map([['ready', 'good'], ['unreachable', 'bad']]);

// The body of /readyz, with `status` "unreachable" when nothing answers.
async function readiness() {
    try {
        return await (await send('readyz')).json();
    } catch {
        return {status: 'unreachable'};
    }
}

async function showState() {
    const now = await readiness();
    const state = byId('state');
    const loads = now.models && now.models.done < now.models.total;
    const text = now.status + (loads ? ' ' + now.models.done + '/' + now.models.total : '');
    if (state.textContent !== text) {
        state.textContent = text;
        state.title = now.reason ?? '';
        state.className = 'state ' + (STATE_LOOKS.get(now.status) ?? 'busy');
        refreshModels();
    }
}

setInterval(() => document.visibilityState === 'visible' && showState(), STATE_POLL);

// ---- light and dark ----

const THEMES = ['auto', 'light', 'dark'];

function setTheme(theme) {
    document.documentElement.dataset.theme = theme;
    byId('theme').textContent = {auto: 'Auto', light: 'Light', dark: 'Dark'}[theme];
    byId('theme').setAttribute('aria-label', 'Colours: ' + theme + '. Change them');
    writeStored('theme', theme);
}

byId('theme').onclick = () => {
    const now = THEMES.indexOf(document.documentElement.dataset.theme);
    setTheme(THEMES[(now + 1) % THEMES.length]);
};
setTheme(THEMES.includes(readStored('theme', 'auto')) ? readStored('theme', 'auto') : 'auto');

// ---- the beginning ----

byId('key-button').onclick = async () => await askKey() && refreshModels();
keepKey(apiKey());
showAddressed();
showState();
