// markdown.js - shows the Markdown that models write, by elements that are built one by one.
//
// A text is cut into blocks. While an answer grows, only the blocks that changed are built anew, so what the
// reader has selected stays. Links lead to http and https alone, and pictures are shown as links: nothing is
// loaded from elsewhere.

const NESTED_MOST = 6;

// ---- blocks ----

const FENCE = /^ {0,3}(```+|~~~+)\s*([^`\s]*)[^`]*$/;
const HEADING = /^ {0,3}(#{1,6})\s+(.*?)#*\s*$/;
const RULE = /^ {0,3}([-*_])( *\1){2,} *$/;
const ITEM = /^( *)([-*+]|\d{1,9}[.)])\s+(.*)$/;
const TABLE_LINE = /^ *\|?( *:?-+:? *\|)+ *(:?-+:?)? *$/;

const isBlank = (line) => line.trim() === '';

function beginsBlock(line) {
    return FENCE.test(line) || HEADING.test(line) || RULE.test(line) || ITEM.test(line) ||
        line.startsWith('>');
}

// The index behind the code block whose fence is at `start`; one that is still open reaches to the end.
function endOfFence(lines, start) {
    const mark = lines[start].match(FENCE)[1];
    let end = start + 1;
    while (end < lines.length &&
        !(lines[end].trim().startsWith(mark) && isBlank(lines[end].replaceAll(mark[0], '')))) {
        end++;
    }
    return Math.min(end + 1, lines.length);
}

// The index behind a list: its items, what is indented below them, and single blank lines between.
function endOfList(lines, start) {
    const [, indent, mark] = lines[start].match(ITEM);
    const isOwn = (match) => match[1].length > indent.length + 1 || /\d/.test(match[2]) === /\d/.test(mark);
    const goesOn = (text) => ITEM.test(text) ? isOwn(text.match(ITEM)) : /^ {2,}\S/.test(text);
    let end = start + 1;
    while (end < lines.length) {
        const line = lines[end];
        const next = lines[end + 1] ?? '';
        if (isBlank(line) ? !goesOn(next) : !goesOn(line) && (beginsBlock(line) || isBlank(lines[end - 1]))) {
            break;
        }
        end++;
    }
    return end;
}

function endOfRun(lines, start, goesOn) {
    let end = start + 1;
    while (end < lines.length && goesOn(lines[end])) {
        end++;
    }
    return end;
}

// [{kind, lines}], which hold all lines but blank ones between blocks.
function blocksOf(text) {
    const lines = text.replaceAll('\t', '    ').split('\n');
    const blocks = [];
    for (let at = 0; at < lines.length;) {
        const line = lines[at];
        let kind = 'text';
        let end = at + 1;
        if (isBlank(line)) {
            at = end;
            continue;
        }
        if (FENCE.test(line)) {
            kind = 'code';
            end = endOfFence(lines, at);
        } else if (HEADING.test(line)) {
            kind = 'heading';
        } else if (RULE.test(line)) {
            kind = 'rule';
        } else if (line.startsWith('>')) {
            kind = 'quote';
            end = endOfRun(lines, at, (next) => next.startsWith('>'));
        } else if (ITEM.test(line)) {
            kind = 'list';
            end = endOfList(lines, at);
        } else if (line.includes('|') && TABLE_LINE.test(lines[at + 1] ?? '')) {
            kind = 'table';
            end = endOfRun(lines, at + 1, (next) => next.includes('|'));
        } else {
            end = endOfRun(lines, at, (next) => !isBlank(next) && !beginsBlock(next));
        }
        blocks.push({kind, lines: lines.slice(at, end)});
        at = end;
    }
    return blocks;
}

// ---- text in a line ----

const INLINE = new RegExp(
    [
        '\\\\([\\\\`*_~\\[\\]#|>.!-])',                     // 1: an escape
        '(`+)([^`]{1,4000})\\2(?!`)',                       // 3: code
        '\\*\\*((?=\\S)(?:[^*]|\\*(?!\\*)){1,2000})\\*\\*', // 4: bold
        '(?<!\\w)__((?=\\S)[^_]{1,2000})__(?!\\w)',         // 5: bold
        '\\*((?=[^\\s*])[^*]{1,2000})\\*',                  // 6: italic
        '(?<!\\w)_((?=[^\\s_])[^_]{1,2000})_(?!\\w)',       // 7: italic
        '~~((?=\\S)[^~]{1,2000})~~',                        // 8: struck out
        '!?\\[([^\\]\\n]{0,1000})\\]' +                     // 9: the text of a link
            '\\(<?([^\\s()<>]{1,2000}(?:\\([^\\s()]{0,200}\\))?)>?(?: "[^"]{0,500}")?\\)', // 10: its address
        '(https?://[^\\s<>"\'`)\\]]{1,2000}[^\\s<>"\'`)\\].,;:!?*_])',                     // 11: an address
    ].join('|'),
    'g');

// A link where the address is one of the web, else the text alone.
function link(text, address) {
    let url = null;
    try {
        url = new URL(address);
    } catch {
        return [text];
    }
    const web = url.protocol === 'http:' || url.protocol === 'https:';
    return [web ? make('a', {href: url.href, rel: 'noopener noreferrer', target: '_blank'}, text || address)
                : text];
}

function inlinePart(match, depth) {
    const [, escaped, , code, strong, strong2, soft, soft2, struck, label, target, address] = match;
    const within = (tag, text) => make(tag, null, inlineOf(text, depth + 1));
    if (escaped) {
        return escaped;
    }
    if (code) {
        return make('code', null, code);
    }
    if (strong ?? strong2) {
        return within('strong', strong ?? strong2);
    }
    if (soft ?? soft2) {
        return within('em', soft ?? soft2);
    }
    if (struck) {
        return within('del', struck);
    }
    return target ? link(label || target, target) : link(address, address);
}

// The texts and elements of a line of Markdown.
function inlineOf(text, depth = 0) {
    if (depth > NESTED_MOST) {
        return [text];
    }
    const parts = [];
    let last = 0;
    for (const match of text.matchAll(INLINE)) {
        parts.push(text.slice(last, match.index), inlinePart(match, depth));
        last = match.index + match[0].length;
    }
    parts.push(text.slice(last));
    return parts.flat().filter((part) => part !== '');
}

// ---- blocks as elements ----

function codeBlock(text, language) {
    return make('div', {class: 'code'},
        make('div', {class: 'code-bar'}, make('span', null, language || 'text'), copyButton(() => text)),
        make('pre', {tabindex: 0, role: 'group', 'aria-label': 'Code'}, make('code', null, text)));
}

function fencedCode(lines) {
    const [, mark, language] = lines[0].match(FENCE);
    const closed = lines.length > 1 && lines.at(-1).trim().startsWith(mark);
    return codeBlock(lines.slice(1, closed ? -1 : undefined).join('\n'), language);
}

// Items begin where a marker stands as far left as the first one; what follows belongs to them.
function listElement(lines, depth) {
    const [, indent, marker] = lines[0].match(ITEM);
    const items = [];
    for (const line of lines) {
        const match = line.match(ITEM);
        if (match && match[1].length <= indent.length + 1) {
            items.push({cut: match[0].length - match[3].length, lines: [match[3]]});
        } else {
            const item = items.at(-1);
            const blank = line.search(/\S|$/);
            item.lines.push(line.slice(Math.min(blank, item.cut)));
        }
    }
    const numbered = /\d/.test(marker);
    return make(numbered ? 'ol' : 'ul',
        {start: numbered && parseInt(marker, 10) !== 1 && parseInt(marker, 10)},
        items.map((item) => make('li', null, itemContent(item.lines.join('\n'), depth))));
}

// An item of one paragraph is shown without the paragraph's margins.
function itemContent(text, depth) {
    const blocks = blocksOf(text);
    if (blocks[0]?.kind !== 'text') {
        return blocks.map((block) => blockElement(block, depth + 1));
    }
    return [...textOf(blocks[0].lines), ...blocks.slice(1).map((block) => blockElement(block, depth + 1))];
}

function cellsOf(line) {
    return line.trim()
        .replace(/^\||(?<!\\)\|$/g, '')
        .split(/(?<!\\)\|/)
        .map((cell) => cell.trim().replaceAll('\\|', '|'));
}

function tableElement(lines) {
    const row = (tag, line) => make('tr', null, cellsOf(line).map((cell) => make(tag, null, inlineOf(cell))));
    return make('div', {class: 'wide', tabindex: 0, role: 'group', 'aria-label': 'Table'},
        make('table', null, make('thead', null, row('th', lines[0])),
            make('tbody', null, lines.slice(2).map((line) => row('td', line)))));
}

// Lines of a paragraph; the breaks between them are kept, as chats do.
function textOf(lines) {
    return lines.flatMap((line, i) => (i ? [make('br')] : []).concat(inlineOf(line.trim())));
}

function blockElement(block, depth = 0) {
    const {kind, lines} = block;
    if (depth > NESTED_MOST) {
        return make('p', null, lines.join('\n'));
    }
    switch (kind) {
    case 'code':
        return fencedCode(lines);
    case 'heading':
        return make('h' + Math.min(6, lines[0].match(HEADING)[1].length + 3), null,
            inlineOf(lines[0].match(HEADING)[2]));
    case 'rule':
        return make('hr');
    case 'quote':
        return make('blockquote', null,
            blocksOf(lines.map((line) => line.replace(/^> ?/, '')).join('\n'))
                .map((inner) => blockElement(inner, depth + 1)));
    case 'list':
        return listElement(lines, depth);
    case 'table':
        return tableElement(lines);
    default:
        return make('p', null, textOf(lines));
    }
}

// Makes `container` show the text. Its children from earlier calls stay where their blocks are the same.
function showMarkdown(container, text) {
    const blocks = blocksOf(text);
    const sources = blocks.map((block) => block.kind + block.lines.join('\n'));
    const shown = container.shownBlocks ?? [];
    let same = 0;
    while (same < sources.length && sources[same] === shown[same]) {
        same++;
    }
    while (container.childNodes.length > same) {
        container.lastChild.remove();
    }
    container.append(...blocks.slice(same).map((block) => blockElement(block)));
    container.shownBlocks = sources;
}
