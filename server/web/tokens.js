// tokens.js - shades the tokens of an answer by their probability. Arrow keys walk over them.

// [{token, logprob, top: [{token, logprob}]}] of a chunk of /v1/chat/completions or /v1/completions.
function tokensOf(logprobs) {
    if (logprobs?.content) {
        return logprobs.content.map(
            ({token, logprob, top_logprobs: top}) => ({token, logprob, top: top ?? []}));
    }
    const topOf = (i) => Object.entries(logprobs.top_logprobs?.[i] ?? {});
    return (logprobs?.tokens ?? []).map((token, i) => ({
        token,
        logprob: logprobs.token_logprobs[i],
        top: topOf(i).map((pair) => ({token: pair[0], logprob: pair[1]})),
    }));
}

const percent = (logprob) => shortNumber(100 * Math.exp(logprob)) + ' %';

const namedToken = ({token, logprob}) => JSON.stringify(token) + ' ' + percent(logprob);

// The token with its probability, and what else was probable.
function tellToken(token) {
    const others = token.top.filter((other) => other.token !== token.token);
    others.sort((a, b) => b.logprob - a.logprob);
    return namedToken(token) + (others.length ? '; else ' + others.map(namedToken).join(', ') : '');
}

// A view of tokens that can grow: {element, update(tokens)}.
function tokenView() {
    const told = make('p', {class: 'told', 'aria-live': 'polite'},
        'Darker is less probable. Point at a token, or walk with the arrow keys.');
    const text = make('div', {
        class: 'tokens',
        tabindex: 0,
        role: 'group',
        'aria-label': 'Tokens by probability',
        onkeydown: walk
    });
    let tokens = [];
    let current = -1;
    function show(index) {
        text.children[current]?.classList.remove('current');
        current = Math.max(0, Math.min(index, tokens.length - 1));
        text.children[current]?.classList.add('current');
        if (tokens[current]) {
            told.textContent = tellToken(tokens[current]);
        }
    }
    function walk(event) {
        const steps = {ArrowRight: 1, ArrowLeft: -1, ArrowDown: 10, ArrowUp: -10};
        if (steps[event.key]) {
            event.preventDefault();
            show(current + steps[event.key]);
        }
    }
    function shade(token, index) {
        const element = make('span', {onmouseenter: () => show(index)}, token.token);
        element.style.setProperty('--shade', (70 * (1 - Math.exp(token.logprob ?? 0))).toFixed(0) + '%');
        return element;
    }
    return {
        element: make('div', null, text, told),
        update(all) {
            tokens = all;
            while (text.children.length < all.length) {
                text.append(shade(all[text.children.length], text.children.length));
            }
        },
    };
}
