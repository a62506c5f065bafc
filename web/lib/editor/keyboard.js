// Everything by keys. They arrive at a hidden input: the host leaves keys alone that are typed into one.
import { motionOf } from '../geometry.js'
import { handlesOf, idOf } from './handles.js'
import { STILL, duplicate, fixedPoint, hasMotion, movedShape, remove, withPoint, withRegion } from './ops.js'
import { inPicture } from './snap.js'

/** @typedef {[number, number]} Point */

/** What the sheet behind ? shows. @type {[string, string][]} */
export const SHORTCUTS = [
  ['V P M O', 'select, polygon or lasso, rectangle, ellipse'],
  ['B E W D H', 'brush, eraser, wand, points, pan'],
  ['Arrows', 'move the target by 1 px (Shift 10); with a drawing tool: its cross'],
  ['Space', 'with the cross: press and release; with the mouse: pan'],
  ['Enter / Backspace', 'close the polygon / take back its last corner'],
  [', and .', 'turn by 1 degree (Shift 15)'],
  ['[ and ]', 'scale by 1 % (Shift 10 %); with a brush: its size'],
  ['A', 'what the arrows move: target, anchor, places of the path, marking'],
  ['I', 'a new place on the path'],
  ['Tab, 1\u20139', 'next region (Shift+Tab: back), region by number'],
  ['Delete, X', 'delete the region, take only its motion away'],
  ['Ctrl+D', 'duplicate'],
  ['Ctrl+Z, Ctrl+Y', 'undo, redo'],
  ['Shift, Alt', 'add to the region, take from it; while dragging: lock to an axis or 15 degrees'],
  ['Ctrl', 'while dragging: no snapping'],
  ['G, Shift+G', 'ghost on and off, steps on the way'],
  ['K, N', 'what may change on and off, snapping on and off'],
  ['\\', 'hold: the picture before'],
  ['+ \u2212 0 Z', 'zoom in, out, whole picture, 1:1'],
  ['L, F, ?', 'list, full screen, this sheet'],
  ['Esc', 'cancel, deselect, leave']
]

const TOOL_KEYS = /** @type {Record<string, string>} */ ({ v: 'select', p: 'polygon', m: 'rectangle', o: 'ellipse', b: 'brush', e: 'eraser', w: 'wand', d: 'points', h: 'pan' })
const ARROWS = /** @type {Record<string, number[]>} */ ({ ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] })

/** @param {any} ed */
export function listenKeys(ed) {
  const { signal } = ed.off
  ed.sink.addEventListener('keydown', (/** @type {KeyboardEvent} */ e) => {
    if (!press(ed, e)) return
    e.preventDefault()
    e.stopPropagation()
  }, { signal })
  ed.sink.addEventListener('keyup', (/** @type {KeyboardEvent} */ e) => release(ed, e), { signal })
  ed.sink.addEventListener('blur', () => release(ed, { key: '\\' }), { signal })
  ed.sink.addEventListener('input', () => { ed.sink.value = '' }, { signal })
  // buttons and fields of the editor: their keys are no shortcuts of the graph; queueing and saving stay the host's
  ed.el.addEventListener('keydown', (/** @type {KeyboardEvent} */ e) => {
    if (e.target === ed.sink) return
    if (e.key === 'Escape') {
      ed.parts.closePopups()
      ed.focus()
      e.preventDefault()
    }
    if (!((e.ctrlKey || e.metaKey) && (e.key === 'Enter' || e.key === 's'))) e.stopPropagation()
  }, { signal })
}

/** True if the key was ours. @param {any} ed @param {KeyboardEvent} e */
function press(ed, e) {
  const k = e.key
  const low = k.toLowerCase()
  if (e.ctrlKey || e.metaKey) {
    if (low === 'z') ed.step(e.shiftKey ? 'redo' : 'undo')
    else if (low === 'y') ed.step('redo')
    else if (low === 'd') copy(ed)
    else return low === 'a' // nothing to select in the sink; the rest is the host's: Ctrl+Enter, Ctrl+S ...
    return true
  }
  if (ARROWS[k] || low === 'a') ed.byKeys = true
  if (ARROWS[k]) return arrow(ed, e)
  if (k === 'Tab') return cycle(ed, e.shiftKey ? -1 : 1)
  if (k === ' ') return space(ed, e)
  if (k === 'Enter') return enter(ed)
  if (k === 'Escape') return escape(ed)
  if (k === 'Delete' || k === 'Backspace') return erase(ed, k)
  if (e.altKey) return false
  if (/^[1-9]$/.test(k)) return number(ed, Number(k) - 1)
  if (TOOL_KEYS[low] && !e.shiftKey) return ed.setTool(TOOL_KEYS[low]), true
  return letter(ed, e, low)
}

/** @param {any} ed @param {KeyboardEvent} e @param {string} low */
function letter(ed, e, low) {
  const flip = (/** @type {string} */ name) => {
    ed.show[name] = !ed.show[name]
    ed.sync()
  }
  if (low === 'g') flip(e.shiftKey ? 'onion' : 'ghost')
  else if (low === 'k') flip('mask')
  else if (low === 'n') flip('snap')
  else if (low === 'f') ed.toggleFull()
  else if (low === 'l') ed.parts.togglePanel()
  else if (e.key === '?') ed.parts.toggleHelp()
  else if (e.key === '\\') return peek(ed)
  else if (low === 'x') clearMotion(ed)
  else if (low === 'a') nextHandle(ed, e.shiftKey ? -1 : 1)
  else if (low === 'i') addPlace(ed)
  else if ([',', '<', '.', '>'].includes(e.key)) turn(ed, (e.key === ',' || e.key === '<' ? -1 : 1) * (e.shiftKey ? 15 : 1), e.repeat)
  else if (['[', '{', ']', '}'].includes(e.key)) grow(ed, e.key === '[' || e.key === '{' ? -1 : 1, e)
  else if (e.key === '+' || e.key === '=') zoom(ed, 1.25)
  else if (e.key === '-' || e.key === '_') zoom(ed, 0.8)
  else if (e.key === '0') ed.view.fit(ed.size)
  else if (low === 'z') ed.view.actual()
  else return e.key.length === 1 // letters without a meaning stay here
  ed.draw()
  ed.parts.status.place(ed.hover)
  return true
}

/** @param {any} ed @param {{key: string}} e */
function release(ed, e) {
  if (e.key === '\\' && ed.peek) {
    ed.peek = false
    ed.draw()
  }
  if (e.key === ' ') {
    ed.space = false
    ed.canvas.style.cursor = ed.tools[ed.tool].cursor
  }
}

/** @param {any} ed */
function peek(ed) {
  ed.peek = true
  ed.draw()
  return true
}

/** @param {any} ed @param {number} factor */
function zoom(ed, factor) {
  const at = ed.cursor ? ed.view.toScreen(ed.cursor) : [ed.view.width / 2, ed.view.height / 2]
  ed.view.zoomAt(at, factor)
  ed.view.clamp(ed.size)
}

/** Where a tool by keys would press: the drawn cross. @param {any} ed @param {boolean} [show] */
function cross(ed, show = false) {
  if (!ed.cursor && show) ed.cursor = ed.view.toImage([ed.view.width / 2, ed.view.height / 2]).map(Math.round)
  return ed.cursor
}

/** @param {any} ed @param {KeyboardEvent} e */
function arrow(ed, e) {
  const step = e.shiftKey ? 10 : 1
  const by = /** @type {Point} */ (ARROWS[e.key].map((v) => v * step))
  const { keys } = ed.tools[ed.tool]
  if (ed.tool === 'pan') ed.view.pan(-by[0] * 8, -by[1] * 8)
  else if (keys !== 'none') {
    const shown = ed.cursor
    const at = cross(ed, true)
    if (shown) ed.cursor = inPicture([at[0] + by[0], at[1] + by[1]], ed.size)
    if (ed.gesture?.keyed) ed.gesture.move(ed.cursor, { shiftKey: false, ctrlKey: true, altKey: false })
    follow(ed)
  } else nudge(ed, by, e)
  ed.draw()
  return true
}

/** Keeps the cross in sight. @param {any} ed */
function follow(ed) {
  const [x, y] = ed.view.toScreen(ed.cursor)
  const { width, height } = ed.view
  const dx = Math.max(20 - x, 0) + Math.min(width - 20 - x, 0)
  const dy = Math.max(20 - y, 0) + Math.min(height - 20 - y, 0)
  if (dx || dy) ed.view.pan(dx, dy)
  ed.say(`${Math.round(ed.cursor[0])}, ${Math.round(ed.cursor[1])}`)
}

/** Moves what the arrows hold: target, anchor, a place of the path, the marking. @param {any} ed @param {Point} by @param {KeyboardEvent} e */
function nudge(ed, by, e) {
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
  const place = /^key-(\d+)$/.exec(ed.active)
  if (ed.active === 'marking' || e.altKey) {
    const regions = doc.regions.map((/** @type {any} */ r, /** @type {number} */ i) => (i === sel.index ? movedShape(r, by) : r))
    ed.edit({ ...doc, regions })
    return ed.commit('move the marking', e.repeat)
  }
  if (place && region.path[Number(place[1])]) {
    const path = region.path.map((/** @type {Point} */ p, /** @type {number} */ i) => (i === Number(place[1]) ? inPicture(add(p), ed.size) : p))
    ed.edit(withRegion(doc, sel.index, { path }))
  } else if (ed.active === 'anchor' || region.task === 'rotation' || region.task === 'scale') {
    ed.edit(withRegion(doc, sel.index, { anchor: add(region.anchor ?? centroid) }))
  } else {
    ed.edit(withRegion(doc, sel.index, { target: inPicture(add(region.target ?? centroid), ed.size) }))
    ed.autoTask(sel.index)
  }
  ed.commit('move', e.repeat)
}

/** @param {any} ed */
function addPlace(ed) {
  const region = ed.sel?.kind === 'region' ? ed.doc.regions[ed.sel.index] : null
  if (!region?.target || region.task === 'rotation') return ed.say('A path belongs to a region that is moved: give it a target first')
  const from = region.path[region.path.length - 1] ?? ed.outline(region).centroid
  const middle = [(from[0] + region.target[0]) / 2, (from[1] + region.target[1]) / 2]
  ed.edit(withRegion(ed.doc, ed.sel.index, { path: [...region.path, middle] }))
  ed.commit('add a place to the path')
  ed.active = `key-${region.path.length}`
  ed.say(`Place ${region.path.length + 1}: the arrows move it`)
}

/** What the arrows move next. @param {any} ed @param {number} step */
function nextHandle(ed, step) {
  if (!ed.sel) return ed.say('Select a region first')
  const fixed = ['target', 'start', 'anchor', 'key']
  const all = handlesOf(ed).filter((h) => fixed.includes(h.id)).map(idOf)
  if (ed.sel.kind === 'region') all.push(...(all.includes('anchor') ? [] : ['anchor']), 'marking')
  const ids = [...new Set(ed.sel.kind === 'region' && !all.includes('target') ? ['target', ...all] : all)]
  ed.active = ids[(ids.indexOf(ed.active) + step + ids.length) % ids.length]
  if (ed.active === 'anchor') anchored(ed)
  const place = /^key-(\d+)$/.exec(ed.active)
  ed.say(`The arrows move ${place ? `place ${Number(place[1]) + 1} of the path` : `the ${ed.active}`}`)
}

/** A region without motion gets its anchor shown: it will turn. @param {any} ed */
function anchored(ed) {
  const region = ed.doc.regions[ed.sel.index]
  if (region.task === 'rotation' || region.task === 'scale' || hasMotion(region)) return
  ed.edit(withRegion(ed.doc, ed.sel.index, { ...STILL, task: 'rotation', angle: 0, anchor: ed.outline(region).centroid }))
  ed.commit('set the anchor')
}

/** @param {any} ed @param {number} by degrees @param {boolean} merge */
function turn(ed, by, merge) {
  const region = ed.sel?.kind === 'region' ? ed.doc.regions[ed.sel.index] : null
  if (!region) return ed.say('Select a region first')
  const { centroid } = ed.outline(region)
  const motion = motionOf(region, centroid)
  const now = region.task === 'rotation' ? region.angle ?? (motion.angle * 180) / Math.PI : 0
  const moved = region.task !== 'rotation' && (motion.shift[0] || motion.shift[1])
  const angle = Math.round((now + by) * 10) / 10
  const anchor = moved ? fixedPoint(centroid, motion.shift, angle) : region.anchor ?? centroid
  ed.edit(withRegion(ed.doc, ed.sel.index, { ...STILL, task: 'rotation', angle, anchor }))
  ed.commit('turn', merge)
}

/** @param {any} ed @param {number} way @param {KeyboardEvent} e */
function grow(ed, way, e) {
  if (ed.tools[ed.tool].sized) return ed.parts.resizeBrush(way > 0 ? (e.shiftKey ? 1.5 : 1.15) : 1 / (e.shiftKey ? 1.5 : 1.15))
  if (ed.tool === 'wand') return ed.tools.wand.grain(ed, way)
  const region = ed.sel?.kind === 'region' ? ed.doc.regions[ed.sel.index] : null
  if (!region) return ed.say('Select a region first')
  const { centroid } = ed.outline(region)
  const step = (e.shiftKey ? 0.1 : 0.01) * way
  const scale = (region.task === 'scale' && region.scale ? region.scale : [1, 1]).map((/** @type {number} */ s) => Math.min(Math.max(Math.round((s + step) * 100) / 100, 0.05), 20))
  ed.edit(withRegion(ed.doc, ed.sel.index, { ...STILL, task: 'scale', scale, anchor: region.task === 'scale' ? region.anchor ?? centroid : centroid }))
  ed.commit('scale', e.repeat)
}

/** @param {any} ed */
export function clearMotion(ed) {
  const region = ed.sel?.kind === 'region' ? ed.doc.regions[ed.sel.index] : null
  if (!region) return
  ed.edit(withRegion(ed.doc, ed.sel.index, { ...STILL, task: 'relocation' }))
  ed.commit('take the motion away')
}

/** @param {any} ed */
export function copy(ed) {
  if (ed.sel?.kind !== 'region') return ed.say('Select a region first')
  const by = Math.round(0.03 * (ed.size.width + ed.size.height) / 2)
  ed.edit(duplicate(ed.doc, ed.sel.index, [by, by]))
  ed.sel = { kind: 'region', index: ed.doc.regions.length - 1 }
  ed.commit('duplicate')
}

/** Tab goes through regions and points, and after the last one out of the editor. @param {any} ed @param {number} way */
function cycle(ed, way) {
  const all = [
    ...ed.doc.regions.map((/** @type {any} */ _, /** @type {number} */ index) => ({ kind: 'region', index })),
    ...ed.doc.points.map((/** @type {any} */ _, /** @type {number} */ index) => ({ kind: 'point', index }))
  ]
  const now = ed.sel ? all.findIndex((s) => s.kind === ed.sel.kind && s.index === ed.sel.index) : way > 0 ? -1 : all.length
  const next = all[now + way]
  if (!next) {
    ed.select(null)
    return false // the browser's own Tab: out of here
  }
  ed.select(next)
  return true
}

/** @param {any} ed @param {number} i */
function number(ed, i) {
  if (ed.doc.regions[i]) ed.select({ kind: 'region', index: i })
  else ed.say(`There is no region ${i + 1}`)
  return true
}

/** @param {any} ed @param {KeyboardEvent} e */
function space(ed, e) {
  const { keys } = ed.tools[ed.tool]
  if (!ed.cursor || keys === 'none') {
    ed.space = true
    ed.canvas.style.cursor = 'grab'
    return true
  }
  if (e.repeat) return true
  if (ed.gesture?.keyed) return lift(ed)
  const gesture = ed.tools[ed.tool].down(ed, ed.cursor, e)
  if (gesture && keys === 'drag') {
    gesture.keyed = true
    ed.gesture = gesture
    ed.say('Pressed: arrows draw, Space or Enter releases')
  } else gesture?.end(e)
  ed.sync()
  return true
}

/** @param {any} ed */
function lift(ed) {
  const { gesture } = ed
  ed.gesture = null
  gesture.end({})
  ed.sync()
  return true
}

/** @param {any} ed */
function enter(ed) {
  if (ed.gesture?.keyed) return lift(ed)
  if (ed.draft) ed.tools.polygon.finish(ed)
  else if (ed.showing === 'result') ed.showing = 'edit'
  ed.sync()
  return true
}

/** @param {any} ed */
function escape(ed) {
  if (ed.parts.closePopups()) return true
  if (ed.gesture || ed.draft || ed.placing) {
    ed.gesture?.cancel?.()
    ed.gesture = ed.draft = null
    ed.placing = false
    ed.revert()
  } else if (ed.cursor) ed.cursor = null
  else if (ed.showing === 'result') ed.showing = 'edit'
  else if (ed.sel) ed.select(null)
  else if (ed.full) ed.toggleFull()
  else ed.sink.blur()
  ed.sync()
  return true
}

/** @param {any} ed @param {string} k */
function erase(ed, k) {
  if (ed.draft && k === 'Backspace') ed.tools.polygon.back(ed)
  else deleteSelected(ed)
  ed.draw()
  return true
}

/** Deletes the selected place of a path, region or point. @param {any} ed */
export function deleteSelected(ed) {
  if (!ed.sel) return
  const place = /^key-(\d+)$/.exec(ed.active)
  const region = ed.sel.kind === 'region' ? ed.doc.regions[ed.sel.index] : null
  if (region?.locked) return ed.say(`Region ${ed.sel.index + 1} is locked`)
  if (place && region?.path[Number(place[1])]) {
    ed.edit(withRegion(ed.doc, ed.sel.index, { path: region.path.filter((/** @type {any} */ _, /** @type {number} */ i) => i !== Number(place[1])) }))
    ed.active = 'target'
    return ed.commit('delete a place of the path')
  }
  ed.edit(remove(ed.doc, ed.sel))
  ed.sel = null
  ed.commit('delete')
  ed.say('Deleted')
}
