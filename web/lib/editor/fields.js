// Numbers of the selected region, to read and to type.
import { motionOf } from '../geometry.js'
import { make } from './dom.js'
import { STILL, withRegion } from './ops.js'
/** @import { Editor, Motion, Point, Region } from './types.js' */

const places = (/** @type {number} */ v) => String(Math.round(v * 100) / 100)

/**
 * What can be typed: name, unit, which regions have it, how it is read and what a typed number changes; `empty`: what nothing typed does.
 * @typedef {object} Field
 * @property {string} id
 * @property {string} name
 * @property {string} unit
 * @property {string} title
 * @property {boolean} [wide]
 * @property {string} [step]
 * @property {(r: Region) => boolean} on
 * @property {(r: Region, m: Motion, c: Point) => number | null} get
 * @property {(r: Region, v: number, m: Motion, c: Point) => Partial<Region>} set
 * @property {Partial<Region>} [empty]
 */

/** @type {Field[]} */
const FIELDS = [
  { id: 'tx', name: 'Target x', unit: 'px', title: 'Where the middle of the region goes', on: shifts, get: (r) => r.target?.[0] ?? null, set: (r, v, m, c) => ({ target: [v, (r.target ?? c)[1]] }) },
  { id: 'ty', name: 'Target y', unit: 'px', title: 'Where the middle of the region goes', on: shifts, get: (r) => r.target?.[1] ?? null, set: (r, v, m, c) => ({ target: [(r.target ?? c)[0], v] }) },
  { id: 'dx', name: 'Move x', unit: 'px', title: 'How far it goes to the right', on: shifts, get: (r, m) => m.shift[0], set: (r, v, m, c) => ({ target: [c[0] + v, (r.target ?? c)[1]] }) },
  { id: 'dy', name: 'Move y', unit: 'px', title: 'How far it goes down', on: shifts, get: (r, m) => m.shift[1], set: (r, v, m, c) => ({ target: [(r.target ?? c)[0], c[1] + v] }) },
  { id: 'angle', wide: true, name: 'Angle', unit: '\u00b0', title: 'Degrees, clockwise; more than 180 turns on', on: (r) => r.task === 'rotation', get: (r, m) => (m.angle * 180) / Math.PI, set: (r, v, m, c) => ({ ...STILL, angle: v, anchor: r.anchor ?? c }) },
  { id: 'sx', name: 'Width', unit: '%', title: 'Percent of the width', on: (r) => r.task === 'scale', get: (r) => (r.scale?.[0] ?? 1) * 100, set: (r, v) => ({ scale: [factor(v), r.scale?.[1] ?? 1] }) },
  { id: 'sy', name: 'Height', unit: '%', title: 'Percent of the height', on: (r) => r.task === 'scale', get: (r) => (r.scale?.[1] ?? 1) * 100, set: (r, v) => ({ scale: [r.scale?.[0] ?? 1, factor(v)] }) },
  { id: 'ax', name: 'Anchor x', unit: 'px', title: 'What stays in its place', on: anchored, get: (r, m) => m.anchor[0], set: (r, v, m) => ({ anchor: [v, m.anchor[1]] }) },
  { id: 'ay', name: 'Anchor y', unit: 'px', title: 'What stays in its place', on: anchored, get: (r, m) => m.anchor[1], set: (r, v, m) => ({ anchor: [m.anchor[0], v] }) },
  { id: 'weight', wide: true, name: 'Weight', unit: '', title: 'Share in the loss beside the other regions; empty: automatic', step: '0.1', on: () => true, get: (r) => r.weight ?? null, set: (r, v) => ({ weight: v > 0 ? v : undefined }), empty: { weight: undefined } }
]

/** @param {Region} r */
function shifts(r) {
  return r.task === 'relocation' || r.task === 'deformation'
}

/** @param {Region} r */
function anchored(r) {
  return r.task === 'rotation' || r.task === 'scale'
}

const factor = (/** @type {number} */ percent) => Math.min(Math.max(percent, 5), 2000) / 100

/** @param {Editor} ed */
export function buildFields(ed) {
  const title = make('h3', { text: 'Numbers' })
  const rows = FIELDS.map((f) => {
    const input = make('input', { type: 'number', class: 'drg-input', step: f.step ?? '1', 'aria-label': f.name, data: { field: f.id } })
    if (f.empty) input.placeholder = 'automatic'
    input.addEventListener('change', () => type(f, input.value))
    const el = make('label', { class: `drg-field${f.wide ? ' drg-widefield' : ''}`, title: f.title }, make('span', { text: f.name }), input, make('em', { text: f.unit }))
    return { f, input, el }
  })
  const grid = make('div', { class: 'drg-grid' }, ...rows.map((r) => r.el))
  const el = make('section', { class: 'drg-section' }, title, grid)

  /** @param {Field} f @param {string} text */
  function type(f, text) {
    const r = ed.region
    const v = Number(text)
    if (!r || r.locked || !Number.isFinite(v)) return numbers(true)
    const { centroid } = ed.outline(r)
    const values = text.trim() === '' ? f.empty : f.set(r, Math.min(Math.max(v, -1e6), 1e6), motionOf(r, centroid), centroid)
    if (!values) return numbers(true)
    ed.edit(withRegion(ed.doc, ed.regionIndex, values))
    ed.commit(`type ${f.name.toLowerCase()}`)
    numbers(true) // as it was taken
  }

  /** Only what changed is written, and not under the hand that types. @param {boolean} [live] there too */
  function numbers(live) {
    const r = ed.region
    if (!r) return
    const { centroid } = ed.outline(r)
    const motion = motionOf(r, centroid)
    for (const { f, input, el: row } of rows) {
      const on = f.on(r)
      if (row.hidden === on) row.hidden = !on
      if (!on || (document.activeElement === input && !live)) continue
      const v = f.get(r, motion, centroid)
      const text = v === null ? '' : places(v)
      if (input.value !== text) input.value = text
    }
  }

  function sync() {
    const r = ed.region
    el.hidden = !r
    if (!r) return
    for (const { input } of rows) input.disabled = !!r.locked
    numbers()
  }
  return { el, sync, numbers }
}

