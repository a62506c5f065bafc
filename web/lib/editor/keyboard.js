// Everything by keys. They arrive at a hidden input: the host leaves keys alone that are typed into one.
import { addPlace, clearMotion, copy, cycle, deleteSelected, grow, nextHandle, nudge, turn } from './commands.js'
import { inPicture } from './snap.js'
/** @import { Editor, Point, Shown, ToolName } from './types.js' */

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
  ['Ctrl+Enter', 'run the graph, with what is typed'],
  ['L, F, ?', 'list, full screen, this sheet'],
  ['Esc', 'cancel, deselect, leave']
]

const TOOL_KEYS = /** @type {Record<string, ToolName>} */ ({ v: 'select', p: 'polygon', m: 'rectangle', o: 'ellipse', b: 'brush', e: 'eraser', w: 'wand', d: 'points', h: 'pan' })
const ARROWS = /** @type {Record<string, number[]>} */ ({ ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] })

/** @param {Editor} ed */
export function listenKeys(ed) {
  const { signal } = ed.off
  ed.sink.addEventListener('keydown', (/** @type {KeyboardEvent} */ e) => {
    if (!press(ed, e)) return
    e.preventDefault()
    e.stopPropagation()
  }, { signal })
  ed.sink.addEventListener('keyup', (/** @type {KeyboardEvent} */ e) => release(ed, e), { signal })
  ed.sink.addEventListener('blur', () => ['\\', ' '].forEach((key) => release(ed, { key })), { signal }) // their keyup comes elsewhere
  ed.sink.addEventListener('input', () => { ed.sink.value = '' }, { signal })
  // buttons and fields of the editor: their keys are no shortcuts of the graph; saving stays the host's, and queueing in the graph
  ed.el.addEventListener('keydown', (/** @type {KeyboardEvent} */ e) => {
    if (e.target === ed.sink) return
    if (e.key === 'Escape') {
      ed.parts.closePopups()
      ed.focus()
      e.preventDefault()
    }
    if (!((e.ctrlKey || e.metaKey) && (e.key === 'Enter' || e.key === 's'))) return e.stopPropagation()
    const field = /** @type {HTMLElement} */ (e.target) // what stands in it is what runs and what is saved
    field.blur()
    field.focus({ preventScroll: true })
    if (!runs(ed, e)) return
    e.preventDefault()
    e.stopPropagation()
  }, { signal })
}

/** Ctrl+Enter on the whole screen, where the host hears no keys; true if it was that. @param {Editor} ed @param {KeyboardEvent} e */
function runs(ed, e) {
  if (!ed.full || !ed.host.run || e.key !== 'Enter' || !(e.ctrlKey || e.metaKey)) return false
  if (!e.repeat) ed.host.run()
  return true
}

/** True if the key was ours. @param {Editor} ed @param {KeyboardEvent} e */
function press(ed, e) {
  const k = e.key
  const low = k.toLowerCase()
  if (e.ctrlKey || e.metaKey) {
    if (low === 'z') ed.step(e.shiftKey ? 'redo' : 'undo')
    else if (low === 'y') ed.step('redo')
    else if (low === 'd') copy(ed)
    else return runs(ed, e) || low === 'a' // nothing to select in the sink; the rest is the host's: Ctrl+Enter, Ctrl+S ...
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

/** @param {Editor} ed @param {KeyboardEvent} e @param {string} low */
function letter(ed, e, low) {
  const flip = (/** @type {Shown} */ name) => {
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

/** @param {Editor} ed @param {{key: string}} e */
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

/** @param {Editor} ed */
function peek(ed) {
  ed.peek = true
  ed.draw()
  return true
}

/** @param {Editor} ed @param {number} factor */
function zoom(ed, factor) {
  const at = ed.cursor ? ed.view.toScreen(ed.cursor) : [ed.view.width / 2, ed.view.height / 2]
  ed.view.zoomAt(at, factor)
  ed.view.clamp(ed.size)
}

/** Where a tool by keys would press: the drawn cross. @param {Editor} ed */
function cross(ed) {
  if (ed.cursor) return ed.cursor
  const [x, y] = ed.view.toImage([ed.view.width / 2, ed.view.height / 2])
  return (ed.cursor = /** @type {Point} */ ([Math.round(x), Math.round(y)]))
}

/** @param {Editor} ed @param {KeyboardEvent} e */
function arrow(ed, e) {
  const step = e.shiftKey ? 10 : 1
  const by = /** @type {Point} */ (ARROWS[e.key].map((v) => v * step))
  const { keys } = ed.tools[ed.tool]
  if (ed.tool === 'pan') ed.view.pan(-by[0] * 8, -by[1] * 8)
  else if (keys !== 'none') {
    const shown = ed.cursor
    const at = cross(ed)
    const now = (ed.cursor = shown ? inPicture([at[0] + by[0], at[1] + by[1]], ed.size) : at)
    if (ed.gesture?.keyed) ed.gesture.move(now, { shiftKey: false, ctrlKey: true, altKey: false })
    follow(ed, now)
  } else nudge(ed, by, e)
  ed.draw()
  return true
}

/** Keeps the cross in sight. @param {Editor} ed @param {Point} cursor */
function follow(ed, cursor) {
  const [x, y] = ed.view.toScreen(cursor)
  const { width, height } = ed.view
  const dx = Math.max(20 - x, 0) + Math.min(width - 20 - x, 0)
  const dy = Math.max(20 - y, 0) + Math.min(height - 20 - y, 0)
  if (dx || dy) ed.view.pan(dx, dy)
  ed.say(`${Math.round(cursor[0])}, ${Math.round(cursor[1])}`)
}

/** @param {Editor} ed @param {number} i */
function number(ed, i) {
  if (ed.doc.regions[i]) ed.select({ kind: 'region', index: i })
  else ed.say(`There is no region ${i + 1}`)
  return true
}

/** @param {Editor} ed @param {KeyboardEvent} e */
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
  } else gesture?.end()
  ed.sync()
  return true
}

/** @param {Editor} ed */
function lift(ed) {
  const { gesture } = ed
  ed.gesture = null
  gesture?.end()
  ed.sync()
  return true
}

/** @param {Editor} ed */
function enter(ed) {
  if (ed.gesture?.keyed) return lift(ed)
  if (ed.draft) ed.tools.polygon.finish(ed)
  else if (ed.showing !== 'edit') ed.showing = 'edit'
  ed.sync()
  return true
}

/** @param {Editor} ed */
function escape(ed) {
  if (ed.parts.closePopups()) return true
  if (ed.gesture || ed.draft || ed.placing) {
    ed.gesture?.cancel?.()
    ed.gesture = ed.draft = null
    ed.placing = false
    ed.revert()
  } else if (ed.cursor) ed.cursor = null
  else if (ed.showing !== 'edit') ed.showing = 'edit'
  else if (ed.sel) ed.select(null)
  else if (ed.full) ed.toggleFull()
  else ed.sink.blur()
  ed.sync()
  return true
}

/** @param {Editor} ed @param {string} k */
function erase(ed, k) {
  if (ed.draft && k === 'Backspace') ed.tools.polygon.back(ed)
  else if (!ed.gesture) deleteSelected(ed) // what is dragged stays
  ed.draw()
  return true
}
