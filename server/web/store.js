// store.js - what the browser keeps: settings and history in localStorage, which a private window may refuse.

const STORE = 'berth.';

function readStored(name, fallback) {
    try {
        return JSON.parse(localStorage.getItem(STORE + name)) ?? fallback;
    } catch {
        return fallback;
    }
}

// False when there is no room, or nothing may be kept.
function writeStored(name, value) {
    try {
        localStorage.setItem(STORE + name, JSON.stringify(value));
        return true;
    } catch {
        return false;
    }
}
