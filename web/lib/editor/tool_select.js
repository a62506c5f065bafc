// Select: take a handle, or the region itself, and drag; a click selects, again on the same place the one below.
import { bodyGesture, dragAnchor, dragMarking, handleGesture } from './gestures.js'
import { cursorOf, hitHandle, idOf } from './handles.js'
import { pairAt, withCommit } from './tool_points.js'
import { anchoredAt, withRegion } from './ops.js'
/** @import { Drag, Edit, Editor, Keys, Point, Region, Tool } from './types.js' */

/** @type {Tool} */
export const select = {
  label: 'Select and drag', key: 'V', icon: 'select', keys: 'none', cursor: 'default',
  hint: 'Drag a region where it shall go; its ring turns it, its corners scale it; Alt-drag moves the marking',

  /** @param {Editor} ed @param {Point} p @param {Keys} e */
  down(ed, p, e) {
    const { placing } = ed
    ed.placing = false
    if (placing && ed.region) return place(ed, ed.region, p)
    const handle = e.altKey ? null : hitHandle(ed, ed.view.toScreen(p), ed.reach())
    if (handle) return withCommit(ed, handleGesture(ed, handle, p), 'drag')
    const pair = pairAt(ed, p)
    if (pair) {
      ed.select({ kind: 'point', index: pair.index })
      return withCommit(ed, handleGesture(ed, { id: pair.end }, p), 'move a point')
    }
    const under = ed.regionsAt(p)
    if (!under.length) {
      if (ed.sel) ed.select(null)
      return null
    }
    const was = ed.regionIndex
    const index = under.includes(was) ? was : under[0]
    if (index !== was) ed.select({ kind: 'region', index })
    if (ed.doc.regions[index].locked) return ed.say(`Region ${index + 1} is locked: unlock it in the list`), null
    return later(ed, p, index, under, was, e.altKey)
  },

  /** @param {Editor} ed @param {Point} p */
  hover(ed, p) {
    if (ed.placing) return 'crosshair'
    const handle = hitHandle(ed, ed.view.toScreen(p), ed.reach())
    ed.hot = handle && idOf(handle)
    if (handle) return cursorOf(handle)
    return pairAt(ed, p) || ed.regionsAt(p).length ? 'move' : 'default'
  }
}

/** A press becomes a drag after 3 px (6 by finger), so that a click stays a click. @param {Editor} ed @param {Point} p @param {number} index @param {number[]} under @param {number} was @param {boolean} marking @returns {Drag} */
function later(ed, p, index, under, was, marking) {
  let real = /** @type {Edit | null} */ (null)
  return {
    name: 'press',
    get guides() { return real?.guides },
    get tag() { return real?.tag },
    get tagAt() { return real?.tagAt },
    get knob() { return real?.knob },
    move(/** @type {Point} */ q, /** @type {Keys} */ e) {
      if (!real) {
        if (Math.hypot(q[0] - p[0], q[1] - p[1]) * ed.view.scale < (ed.coarse ? 6 : 3)) return
        real = marking ? dragMarking(ed, index, p) : bodyGesture(ed, index, p)
        this.name = real.name
      }
      real.move(q, e)
    },
    end() {
      if (real) {
        real.end()
        ed.commit(real.what)
      } else if (was === index && under.length > 1) {
        ed.select({ kind: 'region', index: under[(under.indexOf(index) + 1) % under.length] })
      }
    }
  }
}

/** The next click puts the anchor. @param {Editor} ed @param {Region} region the selected one @param {Point} p */
function place(ed, region, p) {
  const index = ed.regionIndex
  ed.edit(withRegion(ed.doc, index, anchoredAt(region, p)))
  return withCommit(ed, dragAnchor(ed, index, p), 'set the anchor')
}
