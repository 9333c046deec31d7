// panels.js - the list of panels. A file panel_NAME.js adds one; a kind of model has a panel of its own.

// {name: in the address, title: in the navigation, order: of the navigation, build(root): called once, at the
// first look, show() and hide(): optional}
const panels = [];
