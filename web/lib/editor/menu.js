// Menus (right click, long press, the three dots) and the sheet of keys.
import { KINDS } from '../formats.js'
import { make } from './dom.js'
import { clearMotion, copy, deleteSelected, inHand } from './commands.js'
import { SHORTCUTS } from './keyboard.js'
import { anchoredAt, withRegion } from './ops.js'
import { exportAs, pickFiles } from './transfer.js'
/** @import { Editor, Point } from './types.js' */

/** Closes what is open; true if something was. @param {Editor} ed */
export function closeMenus(ed) {
  const open = ed.menu
  if (!open) return false
  ed.menu = null
  open.el.remove()
  window.removeEventListener('pointerdown', open.outside, true)
  return true
}

/** @typedef {[string, (() => void) | null, string?] | null} Entry null: a line; without a function: a heading */

/** @param {Editor} ed @param {Entry[]} entries @param {number[]} at box pixels @param {HTMLElement} [button] that opened it, and closes it */
function show(ed, entries, at, button) {
  closeMenus(ed)
  const rows = entries.map((entry) => {
    if (!entry) return make('hr')
    const [text, run, key] = entry
    if (!run) return make('div', { class: 'drg-head', text })
    return make('button', { type: 'button', role: 'menuitem', on: { click: () => {
      closeMenus(ed)
      ed.focus()
      run()
      ed.sync()
    } } }, make('span', { text }), key ? make('kbd', { text: key }) : null)
  })
  const menu = make('div', { class: 'drg-menu', role: 'menu' }, ...rows)
  menu.addEventListener('keydown', (/** @type {KeyboardEvent} */ e) => {
    const all = [...menu.querySelectorAll('button')]
    const i = all.indexOf(/** @type {HTMLButtonElement} */ (document.activeElement))
    const step = e.key === 'ArrowDown' ? 1 : e.key === 'ArrowUp' ? -1 : 0
    if (!step) return
    all[(i + step + all.length) % all.length].focus()
    e.preventDefault()
  })
  ed.box.append(menu)
  const x = Math.min(at[0], ed.view.width - menu.offsetWidth - 6)
  const y = Math.min(at[1], ed.view.height - menu.offsetHeight - 6)
  menu.style.setProperty('left', `${Math.max(x, 6)}px`)
  menu.style.setProperty('top', `${Math.max(y, 6)}px`)
  menu.querySelector('button')?.focus()
  const outside = (/** @type {PointerEvent} */ e) => {
    if (!(e.target instanceof Node && (menu.contains(e.target) || button?.contains(e.target)))) closeMenus(ed)
  }
  ed.menu = { el: menu, outside }
  window.addEventListener('pointerdown', outside, { capture: true, signal: ed.off.signal })
}

/** The menu of a place on the picture. @param {Editor} ed @param {number[]} at box @param {Point} p picture */
export function openMenu(ed, at, p) {
  const hit = ed.regionAt(p)
  if (hit >= 0 && ed.regionIndex !== hit) ed.select({ kind: 'region', index: hit })
  const { region } = ed
  const i = ed.regionIndex
  const flag = (/** @type {'locked' | 'hidden'} */ key) => {
    if (!region) return
    ed.edit(withRegion(ed.doc, i, { [key]: region[key] ? undefined : true }))
    ed.commit(key === 'locked' ? 'lock or unlock a region' : 'hide or show a region')
  }
  /** @type {Entry[]} */
  const entries = region
    ? [
        [`Region ${i + 1}`, null],
        ['Turn about this point', () => anchorAt(ed, p), 'A'],
        ['Take the motion away', () => clearMotion(ed), 'X'],
        ['Duplicate', () => copy(ed), 'Ctrl+D'],
        [region.locked ? 'Unlock' : 'Lock', () => flag('locked')],
        [region.hidden ? 'Show' : 'Hide', () => flag('hidden')],
        ['Delete', () => deleteSelected(ed), 'Del'],
        null
      ]
    : ed.sel ? [['Delete the point', () => deleteSelected(ed), 'Del'], null] : []
  entries.push(
    ['Undo', () => ed.step('undo'), 'Ctrl+Z'],
    ['Redo', () => ed.step('redo'), 'Ctrl+Y'],
    ['Whole picture', () => ed.view.fit(ed.size), '0'],
    [ed.full ? 'Leave full screen' : 'Full screen', () => ed.toggleFull(), 'F']
  )
  show(ed, entries, at)
}

/** @param {Editor} ed @param {Point} p */
function anchorAt(ed, p) {
  const region = inHand(ed)
  if (!region) return
  const anchor = /** @type {[number, number]} */ ([Math.round(p[0]), Math.round(p[1])])
  ed.edit(withRegion(ed.doc, ed.regionIndex, anchoredAt(region, anchor)))
  ed.commit('set the anchor')
}

/** Import, export, help. @param {Editor} ed @param {HTMLElement} button */
export function openMore(ed, button) {
  if (closeMenus(ed)) return
  const r = button.getBoundingClientRect()
  const at = ed.view.toBox({ clientX: r.left, clientY: r.bottom + 4 })
  show(ed, [
    ['Import', null],
    ['Files of a drag \u2026', () => pickFiles(ed)],
    ['Export', null],
    ...Object.entries(KINDS).map(([kind, name]) => /** @type {Entry} */ ([name, () => exportAs(ed, kind)])),
    null,
    ['All keys', () => ed.parts.toggleHelp(), '?'],
    ['Start again', () => {
      ed.edit({ ...ed.doc, regions: [], points: [] })
      ed.sel = null
      ed.commit('start again')
    }]
  ], at, button)
}

/** The sheet of keys. @param {Editor} ed */
export function buildHelp(ed) {
  const rows = SHORTCUTS.flatMap(([keys, text]) => [make('dt', { text: keys }), make('dd', { text })])
  const close = make('button', { type: 'button', class: 'drg-pill', text: 'Close', on: { click: () => toggle() } })
  const el = make('div', { class: 'drg-help', role: 'dialog', 'aria-label': 'Keys' }, make('div', { class: 'drg-row' }, make('h3', { class: 'drg-grow', text: 'Keys' }), close), make('dl', {}, ...rows))
  el.hidden = true

  function toggle() {
    el.hidden = !el.hidden
    if (el.hidden) ed.focus()
    else close.focus()
  }
  return {
    el, toggle,
    close() {
      const was = !el.hidden
      if (was) toggle()
      return was
    }
  }
}
