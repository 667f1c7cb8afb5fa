// Elements from plain values. Text becomes text nodes only: a question may be hostile HTML.

/** Return an element; `on…` properties are listeners, children are elements or text. */
export function el(tag, properties = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (value === true) element.setAttribute(name, "");
    else if (value !== false && value != null) element.setAttribute(name, value);
  }
  element.append(...children.filter((child) => child != null));
  return element;
}

export const byId = (id) => document.getElementById(id);

/** Set text only where it differs, so that nothing is laid out or announced for nothing. */
export function put(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

/** Make the options of a select those of `pairs` [value, words]; keeps what is chosen. */
export function setOptions(select, pairs, first = []) {
  const wanted = [...first, ...pairs];
  const same = [...select.options].map((option) => option.value + "\n" + option.textContent);
  if (same.join("\n\n") === wanted.map((pair) => pair.join("\n")).join("\n\n")) return;
  const chosen = select.value;
  select.replaceChildren(...wanted.map(([value, words]) => el("option", { value }, words)));
  if (wanted.some(([value]) => value === chosen)) select.value = chosen;
}

/** Run an action of a button: busy meanwhile, and its failure is said. */
export function acting(button, action, say) {
  button.addEventListener("click", async () => {
    if (button.getAttribute("aria-busy") === "true") return;
    button.setAttribute("aria-busy", "true");
    try {
      await action();
    } catch (error) {
      say(error.message);
    } finally {
      button.removeAttribute("aria-busy");
    }
  });
}

/** Keep a list of elements as `items` say, in their order; each is made once and then updated. */
export function keyed(parent, items, keyOf, make) {
  const kept = (parent.kept ??= new Map());
  const keys = new Set(items.map(keyOf));
  for (const [key, view] of kept) {
    if (keys.has(key)) continue;
    view.element.remove();
    view.gone?.();
    kept.delete(key);
  }
  items.forEach((item, place) => {
    const key = keyOf(item);
    if (!kept.has(key)) kept.set(key, make(item));
    const view = kept.get(key);
    const there = parent.children[place] ?? null;
    if (there !== view.element) parent.insertBefore(view.element, there);
    view.update?.(item);
  });
  return kept;
}
