// Elements without markup strings: text goes in by textContent only, so that nothing a user typed is ever parsed.
import { ICONS } from './icons.js'

const SVG = 'http://www.w3.org/2000/svg'

/**
 * @typedef {{class?: string, text?: string, data?: Record<string, string>, on?: Record<string, () => void>, style?: Record<string, string>,
 *   [attribute: string]: unknown}} Props
 */

/**
 * An element. `props`: `class`, `text`, `data` ({name: value}), `on` ({event: fn}), `style` ({name: value});
 * booleans and the names of properties are set as properties, everything else as attributes.
 * @template {keyof HTMLElementTagNameMap} Tag
 * @param {Tag} tag @param {Props} [props] @param {...(Node | string | null | undefined)} children
 * @returns {HTMLElementTagNameMap[Tag]}
 */
export function make(tag, props = {}, ...children) {
  const el = document.createElement(tag)
  for (const [name, value] of Object.entries(props)) {
    if (value === undefined || value === null) continue
    if (name === 'class') el.className = String(value)
    else if (name === 'text') el.textContent = String(value)
    else if (name === 'data') Object.assign(el.dataset, value)
    else if (name === 'on') for (const [event, fn] of Object.entries(props.on ?? {})) el.addEventListener(event, fn)
    else if (name === 'style') for (const [key, v] of Object.entries(props.style ?? {})) el.style.setProperty(key, v)
    else if (typeof value === 'boolean' || name === 'value') Object.assign(el, { [name]: value })
    else el.setAttribute(name, String(value))
  }
  for (const child of children) if (child !== null && child !== undefined) el.append(child)
  return el
}

/**
 * An icon of 24x24 units, drawn with the colour of the text around it.
 * @param {string} name a key of ICONS
 */
export function icon(name) {
  const svg = document.createElementNS(SVG, 'svg')
  svg.setAttribute('viewBox', '0 0 24 24')
  svg.setAttribute('aria-hidden', 'true')
  svg.classList.add('drg-icon')
  for (const part of ICONS[name] ?? []) {
    const filled = part.startsWith('*') // a leading star: a filled shape
    const path = document.createElementNS(SVG, 'path')
    path.setAttribute('d', filled ? part.slice(1) : part)
    if (filled) path.classList.add('drg-fill')
    svg.append(path)
  }
  return svg
}

/**
 * A button with an icon; its title is the tooltip and the name that a screen reader says.
 * @param {string} name of the icon @param {string} title @param {() => void} run @param {Props} [props]
 */
export function iconButton(name, title, run, props = {}) {
  const button = make('button', { type: 'button', class: 'drg-button', title, 'aria-label': title, ...props }, icon(name))
  button.addEventListener('click', (e) => {
    e.stopPropagation()
    run()
  })
  return button
}

/** Puts another icon into a button. @param {HTMLElement} button @param {string} name */
export function setIcon(button, name) {
  if (button.dataset.icon === name) return
  button.dataset.icon = name
  button.replaceChildren(icon(name))
}

/** Writes only what changed: no layout work in a frame where nothing did. @param {Node} el @param {string} text */
export function setText(el, text) {
  if (el.textContent !== text) el.textContent = text
}

/**
 * Whether a button in `el` is held down: one that is replaced then loses its click, as when the press itself ends the typing in a field.
 * @param {HTMLElement} el @param {() => void} after runs when it was released, and clicked
 */
export function pressed(el, after) {
  let held = false
  el.addEventListener('pointerdown', (e) => {
    if (!(e.target instanceof Element && e.target.closest('button'))) return
    held = true
    const off = new AbortController()
    const release = () => {
      off.abort()
      held = false
      setTimeout(after, 0)
    }
    for (const type of ['pointerup', 'pointercancel']) window.addEventListener(type, release, { capture: true, signal: off.signal })
  })
  return () => held
}

/** Arrows go from button to button of a bar, as its role says. @param {HTMLElement} bar @param {string} next @param {string} back */
export function arrowKeys(bar, next, back) {
  bar.addEventListener('keydown', (e) => {
    if (e.key !== next && e.key !== back) return
    const all = /** @type {HTMLButtonElement[]} */ ([...bar.querySelectorAll('button:not([disabled], [hidden])')])
    const i = all.indexOf(/** @type {HTMLButtonElement} */ (document.activeElement))
    all[(i + (e.key === next ? 1 : -1) + all.length) % all.length]?.focus()
    e.preventDefault()
  })
}
