// models.js - the list of models, shared by the panels, and the control that picks one of them.

const modelList = {
    all: [],
    error: null,
    watchers: new Set()
};

const canChat = (model) => model.berth?.chats === true;
const canComplete = (model) => model.berth?.generates === true;

async function refreshModels() {
    try {
        const listed = await (await succeed('v1/models')).json();
        modelList.all = listed.data;
        modelList.error = null;
    } catch (error) {
        modelList.error = error.message;
    }
    modelList.watchers.forEach((watcher) => watcher());
}

// A select of the models that can do what the panel wants. `value()` is the id, "" when there is none.
function modelPicker(able, name) {
    const select = make('select', {
        onchange: () => {
            writeStored(name, select.value);
            changed();
        }
    });
    const listeners = [];
    const changed = () => listeners.forEach((listener) => listener(picked()));
    const picked = () => modelList.all.find((model) => model.id === select.value);
    function fill() {
        const wanted = select.value || readStored(name, '');
        const models = modelList.all.filter(able);
        select.replaceChildren(...models.map((model) => make('option', {value: model.id}, model.id)));
        if (models.length === 0) {
            select.append(make('option', {value: ''}, 'no model can do this'));
        }
        select.value = models.some((model) => model.id === wanted) ? wanted : models[0]?.id ?? '';
        changed();
    }
    modelList.watchers.add(fill);
    fill();
    return {
        element: field('Model', select),
        value: () => select.value,
        picked,
        onchange: (listener) => {
            listeners.push(listener);
            listener(picked());
        },
        pick(id) {
            writeStored(name, id);
            select.value = id;
            changed();
        },
    };
}
