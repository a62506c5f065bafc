// What the keys do to the region or point in hand; the menus use some of it too.
import { MAX_PATH, MAX_REGIONS } from '../document.js'
import { motionOf } from '../geometry.js'
import { handlesOf, idOf } from './handles.js'
import { STILL, anchoredAt, duplicate, fixedPoint, hasMotion, movedShape, remove, withPoint, withRegion } from './ops.js'
import { inPicture } from './snap.js'
/** @import { Editor, Point, Sel } from './types.js' */

/** The number of the place that a handle's name says; NaN for the others. @param {string} name */
const placeOf = (name) => Number(/^key-(\d+)$/.exec(name)?.[1] ?? NaN)

/** Moves what the arrows hold: target, anchor, a place of the path, the marking. @param {Editor} ed @param {Point} by @param {KeyboardEvent} e */
export function nudge(ed, by, e) {
  const { sel, doc } = ed
  if (!sel) return ed.say('Select a region first: Tab, or its number')
  const add = (/** @type {Point} */ p) => /** @type {Point} */ ([p[0] + by[0], p[1] + by[1]])
  if (sel.kind === 'point') {
    const key = ed.active === 'start' ? 'start' : 'target'
    ed.edit(withPoint(doc, sel.index, { [key]: inPicture(add(doc.points[sel.index][key]), ed.size) }))
    return ed.commit('move a point', e.repeat)
  }
  const region = doc.regions[sel.index]
  if (region.locked) return ed.say(`Region ${sel.index + 1} is locked`)
  const { centroid } = ed.outline(region)
  const place = placeOf(ed.active)
  if (ed.active === 'marking' || e.altKey) {
    ed.edit(withRegion(doc, sel.index, movedShape(region, by)))
    return ed.commit('move the marking', e.repeat)
  }
  if (region.path[place]) {
    const path = region.path.map((p, i) => (i === place ? inPicture(add(p), ed.size) : p))
    ed.edit(withRegion(doc, sel.index, { path }))
  } else if (ed.active === 'anchor' || region.task === 'rotation' || region.task === 'scale') {
    ed.edit(withRegion(doc, sel.index, { anchor: add(region.anchor ?? centroid) }))
  } else {
    ed.edit(withRegion(doc, sel.index, { target: inPicture(add(region.target ?? centroid), ed.size) }))
    ed.autoTask(sel.index)
  }
  ed.commit('move', e.repeat)
}

/** The selected region if it may be changed; else says why not. @param {Editor} ed */
export function inHand(ed) {
  const region = ed.region
  if (!region) ed.say('Select a region first')
  else if (region.locked) ed.say(`Region ${ed.regionIndex + 1} is locked`)
  return region?.locked ? null : region
}

/** @param {Editor} ed */
export function addPlace(ed) {
  const region = inHand(ed)
  if (!region) return
  if (region.path.length >= MAX_PATH) return ed.say(`${MAX_PATH} places are the most that a path holds`)
  if (!region.target || region.task === 'rotation') return ed.say('A path belongs to a region that is moved: give it a target first')
  const from = region.path[region.path.length - 1] ?? ed.outline(region).centroid
  const middle = /** @type {Point} */ ([(from[0] + region.target[0]) / 2, (from[1] + region.target[1]) / 2])
  ed.edit(withRegion(ed.doc, ed.regionIndex, { path: [...region.path, middle] }))
  ed.commit('add a place to the path')
  ed.active = `key-${region.path.length}`
  ed.say(`Place ${region.path.length + 1}: the arrows move it`)
}

/** What the arrows move next. @param {Editor} ed @param {number} step */
export function nextHandle(ed, step) {
  if (!ed.sel) return ed.say('Select a region first')
  const fixed = ['target', 'start', 'anchor', 'key']
  const all = handlesOf(ed).filter((h) => fixed.includes(h.id)).map(idOf)
  if (ed.sel.kind === 'region') all.push(...(all.includes('anchor') ? [] : ['anchor']), 'marking')
  const ids = [...new Set(ed.sel.kind === 'region' && !all.includes('target') ? ['target', ...all] : all)]
  ed.active = ids[(ids.indexOf(ed.active) + step + ids.length) % ids.length]
  if (ed.active === 'anchor') anchored(ed)
  const place = placeOf(ed.active)
  ed.say(`The arrows move ${place >= 0 ? `place ${place + 1} of the path` : `the ${ed.active}`}`)
}

/** A region without motion gets its anchor shown: it will turn. @param {Editor} ed */
function anchored(ed) {
  const region = ed.region
  if (!region || region.locked || region.task === 'rotation' || region.task === 'scale' || hasMotion(region)) return
  ed.edit(withRegion(ed.doc, ed.regionIndex, anchoredAt(region, ed.outline(region).centroid)))
  ed.commit('set the anchor')
}

/** @param {Editor} ed @param {number} by degrees @param {boolean} merge */
export function turn(ed, by, merge) {
  const region = inHand(ed)
  if (!region) return
  const { centroid } = ed.outline(region)
  const motion = motionOf(region, centroid)
  const now = region.task === 'rotation' ? region.angle ?? (motion.angle * 180) / Math.PI : 0
  const moved = region.task !== 'rotation' && (motion.shift[0] || motion.shift[1])
  const angle = Math.round((now + by) * 10) / 10
  const anchor = moved ? fixedPoint(centroid, motion.shift, angle) : region.anchor ?? centroid
  ed.edit(withRegion(ed.doc, ed.regionIndex, { ...STILL, task: 'rotation', angle, anchor }))
  ed.commit('turn', merge)
}

/** @param {Editor} ed @param {number} way @param {KeyboardEvent} e */
export function grow(ed, way, e) {
  if (ed.tools[ed.tool].sized) return ed.parts.resizeBrush(way > 0 ? (e.shiftKey ? 1.5 : 1.15) : 1 / (e.shiftKey ? 1.5 : 1.15))
  if (ed.tool === 'wand') return ed.tools.wand.grain(ed, way)
  const region = inHand(ed)
  if (!region) return
  const { centroid } = ed.outline(region)
  const step = (e.shiftKey ? 0.1 : 0.01) * way
  const grown = (/** @type {number} */ s) => Math.min(Math.max(Math.round((s + step) * 100) / 100, 0.05), 20)
  const [sx, sy] = region.task === 'scale' && region.scale ? region.scale : [1, 1]
  const scale = /** @type {Point} */ ([grown(sx), grown(sy)])
  ed.edit(withRegion(ed.doc, ed.regionIndex, { ...STILL, task: 'scale', scale, anchor: region.task === 'scale' ? region.anchor ?? centroid : centroid }))
  ed.commit('scale', e.repeat)
}

/** @param {Editor} ed */
export function clearMotion(ed) {
  const region = inHand(ed)
  if (!region) return
  ed.edit(withRegion(ed.doc, ed.regionIndex, { ...STILL, task: 'relocation' }))
  ed.commit('take the motion away')
}

/** @param {Editor} ed */
export function copy(ed) {
  if (!ed.region) return ed.say('Select a region first')
  if (ed.doc.regions.length >= MAX_REGIONS) return ed.say(`${MAX_REGIONS} regions are the most that a drag holds`)
  const by = Math.round(0.03 * (ed.size.width + ed.size.height) / 2)
  ed.edit(duplicate(ed.doc, ed.regionIndex, [by, by]))
  ed.sel = { kind: 'region', index: ed.doc.regions.length - 1 }
  ed.commit('duplicate')
}

/** Tab goes through regions and points, and after the last one out of the editor. @param {Editor} ed @param {number} way */
export function cycle(ed, way) {
  const { sel } = ed
  /** @type {Sel[]} */
  const all = [
    ...ed.doc.regions.map((_, index) => /** @type {Sel} */ ({ kind: 'region', index })),
    ...ed.doc.points.map((_, index) => /** @type {Sel} */ ({ kind: 'point', index }))
  ]
  const now = sel ? all.findIndex((s) => s.kind === sel.kind && s.index === sel.index) : way > 0 ? -1 : all.length
  const next = all[now + way]
  if (!next) {
    ed.select(null)
    return false // the browser's own Tab: out of here
  }
  ed.select(next)
  return true
}

/** Deletes the selected place of a path, region or point. @param {Editor} ed */
export function deleteSelected(ed) {
  if (!ed.sel) return
  const place = placeOf(ed.active)
  const { region } = ed
  if (region?.locked) return ed.say(`Region ${ed.regionIndex + 1} is locked`)
  if (region?.path[place]) {
    ed.edit(withRegion(ed.doc, ed.regionIndex, { path: region.path.filter((_, i) => i !== place) }))
    ed.active = 'target'
    return ed.commit('delete a place of the path')
  }
  ed.edit(remove(ed.doc, ed.sel))
  ed.sel = null
  ed.commit('delete')
  ed.say('Deleted')
}
