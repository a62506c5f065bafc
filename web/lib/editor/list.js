// The list of regions and point pairs: colour, number, name, task; eye, lock, order, delete.
import { TASKS } from '../document.js'
import { iconButton, make, pressed } from './dom.js'
import { asTask, colorOf, hasMotion, patch, remove, reorder, withRegion } from './ops.js'
/** @import { Doc, Editor, Pair, Region, Sel, Task } from './types.js' */

/** @param {Editor} ed */
export function buildList(ed) {
  const el = make('div', { class: 'drg-list', role: 'list' })
  let drawn = /** @type {{doc: Doc, sel: Sel | null} | null} */ (null)
  const held = pressed(el, sync)

  function sync() {
    if (drawn && drawn.doc === ed.committed && drawn.sel === ed.sel) return
    if (ed.gesture || held()) return // while something is dragged the numbers are enough
    const typing = document.activeElement
    if (typing instanceof HTMLInputElement && el.contains(typing) && drawn?.doc === ed.committed) return
    drawn = { doc: ed.committed, sel: ed.sel }
    const regions = ed.doc.regions.map((r, i) => regionRow(ed, r, i))
    const pairs = ed.doc.points.map((p, i) => pointRow(ed, p, i))
    el.replaceChildren(...regions, ...pairs)
    if (!regions.length && !pairs.length) el.append(make('p', { class: 'drg-faint', text: 'Nothing is marked yet' }))
  }
  return { el, sync }
}

/** @param {Editor} ed @param {Region} region @param {number} i */
function regionRow(ed, region, i) {
  const selected = ed.sel?.kind === 'region' && ed.sel.index === i
  const change = (/** @type {Partial<Region>} */ values, /** @type {string} */ what) => {
    ed.edit(withRegion(ed.doc, i, values))
    ed.commit(what)
  }
  const color = make('input', { type: 'color', class: 'drg-color', value: colorOf(region, i), title: 'Colour', 'aria-label': `Colour of region ${i + 1}` })
  color.addEventListener('change', () => change({ color: color.value }, 'change a colour'))
  const name = make('input', { class: 'drg-name', value: region.label, placeholder: `Region ${i + 1}`, 'aria-label': `Name of region ${i + 1}`, maxlength: '200', spellcheck: 'false' })
  name.addEventListener('change', () => change({ label: name.value }, 'rename a region'))
  name.addEventListener('focus', () => { if (!(ed.sel?.kind === 'region' && ed.sel.index === i)) ed.select({ kind: 'region', index: i }) })
  const number = make('button', { type: 'button', class: 'drg-index', title: 'Select', 'aria-label': `Select region ${i + 1}`, text: String(i + 1), style: { '--drg-color': colorOf(region, i) }, on: { click: () => {
    ed.select({ kind: 'region', index: i })
    ed.setTool('select')
    ed.focus()
  } } })
  const eye = iconButton(region.hidden ? 'eyeoff' : 'eye', region.hidden ? 'Show it' : 'Hide it here (it is still dragged)', () => change({ hidden: region.hidden ? undefined : true }, 'hide or show a region'))
  const lock = iconButton(region.locked ? 'lock' : 'unlock', region.locked ? 'Unlock it' : 'Lock it', () => change({ locked: region.locked ? undefined : true }, 'lock or unlock a region'))
  const more = selected
    ? make('div', { class: 'drg-row' }, taskSelect(ed, region, i), iconButton('up', 'Earlier', () => order(ed, i, i - 1), { disabled: i === 0 }),
        iconButton('down', 'Later', () => order(ed, i, i + 1), { disabled: i === ed.doc.regions.length - 1 }),
        iconButton('trash', 'Delete (Del)', () => drop(ed, { kind: 'region', index: i }), { disabled: !!region.locked }), color)
    : null
  return make('div', { class: `drg-item${selected ? ' drg-on' : ''}${region.hidden ? ' drg-off' : ''}`, role: 'listitem' },
    make('div', { class: 'drg-row' }, number, name, selected ? null : make('span', { class: 'drg-faint', text: hasMotion(region) ? region.task : 'no motion' }), eye, lock), more)
}

/** The task; "auto" leaves the choice to the editor and says what it chose. @param {Editor} ed @param {Region} region @param {number} i */
function taskSelect(ed, region, i) {
  const auto = region.auto === true
  const pick = make('select', { class: 'drg-select', 'aria-label': 'Task', title: 'What the drag means; auto: the editor decides' },
    make('option', { value: 'auto', text: `auto: ${region.task}` }), ...TASKS.map((value) => make('option', { value, text: value })))
  pick.value = auto ? 'auto' : region.task
  pick.disabled = !!region.locked
  pick.addEventListener('change', () => {
    const now = ed.doc.regions[i]
    const { centroid } = ed.outline(now)
    const next = pick.value === 'auto' ? patch(now, { auto: true }) : patch(asTask(now, /** @type {Task} */ (pick.value), centroid), { auto: undefined })
    ed.edit({ ...ed.doc, regions: ed.doc.regions.map((r, k) => (k === i ? next : r)) })
    if (pick.value === 'auto') ed.autoTask(i)
    ed.commit('change the task')
    ed.focus()
  })
  return pick
}

/** @param {Editor} ed @param {Pair} pair @param {number} i */
function pointRow(ed, pair, i) {
  const selected = ed.sel?.kind === 'point' && ed.sel.index === i
  const number = make('button', { type: 'button', class: 'drg-index drg-point', 'aria-label': `Select point ${i + 1}`, text: String(i + 1), on: { click: () => {
    ed.select({ kind: 'point', index: i })
    ed.focus()
  } } })
  const text = `${pair.start.map(Math.round).join(', ')} \u2192 ${pair.target.map(Math.round).join(', ')}`
  return make('div', { class: `drg-item${selected ? ' drg-on' : ''}`, role: 'listitem' },
    make('div', { class: 'drg-row' }, number, make('span', { class: 'drg-grow', text }), iconButton('trash', 'Delete (Del)', () => drop(ed, { kind: 'point', index: i }))))
}

/** @param {Editor} ed @param {number} i @param {number} to */
function order(ed, i, to) {
  ed.edit(reorder(ed.doc, i, to))
  ed.sel = { kind: 'region', index: to }
  ed.commit('change the order')
}

/** @param {Editor} ed @param {Sel} sel */
function drop(ed, sel) {
  ed.edit(remove(ed.doc, sel))
  ed.sel = null
  ed.commit('delete')
  ed.focus()
}
