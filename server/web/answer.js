// answer.js - an answer while it streams: its parts, its times and how it ended.

// Measures an answer: mark() with each piece of it.
function stopwatch() {
    const start = performance.now();
    let first = null;
    let last = null;
    let pieces = 0;
    return {
        mark() {
            last = performance.now();
            first ??= last;
            pieces++;
        },
        // `usage` is the server's count; until it comes, pieces are taken for tokens.
        stats(usage) {
            if (first === null) {
                return null;
            }
            const tokens = usage?.completion_tokens ?? pieces;
            return {
                tokens,
                prompt: usage?.prompt_tokens,
                cached: usage?.prompt_tokens_details?.cached_tokens,
                reasoning: usage?.completion_tokens_details?.reasoning_tokens,
                first: (first - start) / 1000,
                rate: last > first ? (tokens - 1) * 1000 / (last - first) : null,
            };
        },
    };
}

const ENDINGS = {
    length: 'cut at the longest answer',
    stopped: 'stopped',
    tool_calls: 'calls a tool',
    content_filter: 'filtered'
};

function statsText(stats, finish) {
    const parts = [];
    if (stats) {
        const thought = stats.reasoning ? ' (' + countText(stats.reasoning) + ' of them reasoning)' : '';
        parts.push(countText(stats.tokens) + (stats.tokens === 1 ? ' token' : ' tokens') + thought);
        if (stats.rate) {
            parts.push(shortNumber(stats.rate) + ' tokens/s');
        }
        parts.push('first after ' + secondsText(stats.first));
        if (stats.prompt !== undefined) {
            parts.push('prompt ' + countText(stats.prompt) +
                (stats.cached ? ' (' + countText(stats.cached) + ' cached)' : ''));
        }
    }
    if (!stats && finish === 'stop') {
        parts.push('an empty answer');
    }
    if (ENDINGS[finish]) {
        parts.push(ENDINGS[finish]);
    }
    return parts.join(' · ');
}

// Adds the pieces of calls that a chunk has: {index, id, function: {name, arguments}}.
function addToolCalls(calls, pieces) {
    for (const piece of pieces) {
        const index = piece.index ?? calls.length;
        calls[index] ??= {id: '', type: 'function', function: {name: '', arguments: ''}};
        calls[index].id ||= piece.id ?? '';
        calls[index].function.name += piece.function?.name ?? '';
        calls[index].function.arguments += piece.function?.arguments ?? '';
    }
}

// Adds a chunk of /v1/chat/completions to a message. True when it brought something to read.
function addChatChunk(message, chunk) {
    const choice = chunk.choices?.[0];
    const delta = choice?.delta ?? {};
    const reasoning = delta.reasoning_content ?? delta.reasoning ?? '';
    message.content += delta.content ?? '';
    message.reasoning += reasoning;
    addToolCalls(message.tool_calls, delta.tool_calls ?? []);
    message.tokens.push(...tokensOf(choice?.logprobs));
    message.finish = choice?.finish_reason ?? message.finish;
    message.usage = chunk.usage ?? message.usage;
    message.warnings = chunk.warnings ?? message.warnings;
    return Boolean(delta.content || reasoning || delta.tool_calls?.length);
}

// Calls update() soon, at most once a frame, and not more often than a long text can be shown.
function paced(update) {
    let waiting = false;
    let last = 0;
    return () => {
        if (waiting) {
            return;
        }
        waiting = true;
        setTimeout(() => requestAnimationFrame(() => {
            const start = performance.now();
            waiting = false;
            update();
            last = performance.now() - start;
        }),
            Math.min(1000, 8 * last));
    };
}
