// What dragging a handle or a region does. A gesture has move(p, e), end(), and what it shows meanwhile: tag, tagAt, guides.
import { applyTo, invert, matrixOf, motionOf } from '../geometry.js'
import { STILL, fixedPoint, movedCentroid, movedShape, patch, withPoint, withRegion } from './ops.js'
import { inPicture, lines, lockAxis, snapAngle, snapPoint, snapScale } from './snap.js'
/** @import { Edit, Editor, Handle, Keys, Point, Region, Sel } from './types.js' */

const SNAP = 6 // box pixels
/** Tenths of a pixel: what a hand can mean. @param {Point} p @returns {Point} */
const fine = (p) => [Math.round(p[0] * 10) / 10, Math.round(p[1] * 10) / 10]
const signed = (/** @type {number} */ v) => `${v < 0 ? '\u2212' : '+'}${Math.abs(Math.round(v))}`
const degrees = (/** @type {number} */ v) => (v * 180) / Math.PI

/** The gesture of a handle. @param {Editor} ed @param {Omit<Handle, 'at'>} handle of what is selected @param {Point} p @returns {Edit} */
export function handleGesture(ed, handle, p) {
  const { kind, index } = /** @type {Sel} */ (ed.sel)
  const { id, index: place = 0 } = handle
  if (kind === 'point') return dragPoint(ed, index, id, p)
  if (id === 'ring') return dragTurn(ed, index, p, handle.index)
  if (id === 'anchor') return dragAnchor(ed, index, p)
  if (id === 'key') return dragKey(ed, index, place, p)
  if (id === 'mid') {
    const path = [...ed.doc.regions[index].path]
    path.splice(place, 0, p)
    ed.edit(withRegion(ed.doc, index, { path }))
    return dragKey(ed, index, place, p)
  }
  if (id.startsWith('scale-') && handle.source) return dragScale(ed, index, id.slice(6), handle.source)
  return bodyGesture(ed, index, p)
}

/** A grip on the region itself: it does what its task says. @param {Editor} ed @param {number} i @param {Point} p @returns {Edit} */
export function bodyGesture(ed, i, p) {
  const region = ed.doc.regions[i]
  const { centroid } = ed.outline(region)
  const motion = motionOf(region, centroid)
  const off = Math.hypot(p[0] - motion.anchor[0], p[1] - motion.anchor[1]) * ed.view.scale > 6
  if (region.task === 'rotation') return off ? dragTurn(ed, i, p) : dragAnchor(ed, i, p)
  if (region.task === 'scale') {
    const back = invert(matrixOf(motion, 1))
    return off && back ? dragScale(ed, i, 'se', applyTo(back, p)) : dragAnchor(ed, i, p)
  }
  return dragTarget(ed, i, p)
}

/** @param {Editor} ed @param {number} i @param {Point} p @returns {Edit} */
function dragTarget(ed, i, p) {
  const region = ed.doc.regions[i]
  const from = ed.outline(region).centroid
  const start = region.target ?? from
  const { xs, ys } = lines(ed, i)
  return {
    name: 'target', what: 'move', guides: [], tag: '', tagAt: start,
    move(/** @type {Point} */ q, /** @type {Keys} */ e) {
      let t = fine([start[0] + q[0] - p[0], start[1] + q[1] - p[1]])
      this.guides = []
      if (e.shiftKey) t = lockAxis(t, from)
      if (ed.show.snap && !e.ctrlKey) {
        const snapped = snapPoint(t, xs, ys, SNAP / ed.view.scale)
        t = snapped.p
        this.guides = snapped.guides
      }
      t = inPicture(t, ed.size)
      this.tagAt = t
      this.tag = `${signed(t[0] - from[0])}, ${signed(t[1] - from[1])} px`
      ed.edit(withRegion(ed.doc, i, { target: t }))
    },
    end() {
      ed.autoTask(i)
    }
  }
}

/**
 * A turn about the anchor; of a region that was moved before: about its new place, kept as one turn about the point that stays.
 * @param {Editor} ed @param {number} i @param {Point} p @param {number} [knob] @returns {Edit}
 */
export function dragTurn(ed, i, p, knob) {
  const region = ed.doc.regions[i]
  const { centroid } = ed.outline(region)
  const motion = motionOf(region, centroid)
  const shifted = region.task !== 'rotation' && (motion.shift[0] !== 0 || motion.shift[1] !== 0)
  const pivot = region.task === 'rotation' ? motion.anchor : shifted ? movedCentroid(region, centroid) : region.anchor ?? centroid
  const base = degrees(motion.angle)
  const at = (/** @type {Point} */ q) => degrees(Math.atan2(q[1] - pivot[1], q[0] - pivot[0]))
  let last = at(p)
  let swept = 0
  return {
    name: 'ring', what: 'turn', knob, tag: '', tagAt: movedCentroid(region, centroid),
    move(/** @type {Point} */ q, /** @type {Keys} */ e) {
      const now = at(q)
      swept += ((now - last + 540) % 360) - 180 // the shorter way from one move to the next: turns beyond 180 add up
      last = now
      const angle = snapAngle(base + swept, e.shiftKey, ed.show.snap && !e.ctrlKey)
      this.tag = `${angle}\u00b0`
      if (shifted && Math.abs(angle - 360 * Math.round(angle / 360)) < 0.5) return ed.edit(withRegion(ed.doc, i, { ...STILL, ...pick(region) }))
      const anchor = shifted ? fixedPoint(centroid, motion.shift, angle) : pivot
      ed.edit(withRegion(ed.doc, i, { ...STILL, task: 'rotation', angle, anchor }))
      this.tagAt = movedCentroid(ed.doc.regions[i], centroid)
    },
    end() {}
  }
}

/** @param {Region} region */
const pick = ({ task, target, anchor, path }) => ({ task, target, anchor, path })

/** @param {Editor} ed @param {number} i @param {string} side nw, n, ... @param {Point} source the handle's place before the motion @returns {Edit} */
function dragScale(ed, i, side, source) {
  const region = ed.doc.regions[i]
  const { centroid } = ed.outline(region)
  const anchor = region.anchor ?? centroid
  const base = region.scale ?? [1, 1]
  const arm = [source[0] - anchor[0], source[1] - anchor[1]]
  const length = arm[0] ** 2 + arm[1] ** 2
  return {
    name: `scale-${side}`, what: 'scale', tag: '', tagAt: source,
    move(/** @type {Point} */ q, /** @type {Keys} */ e) {
      const snap = ed.show.snap && !e.ctrlKey
      const d = [q[0] - anchor[0], q[1] - anchor[1]]
      let scale = /** @type {Point} */ ([...base])
      if (side.length === 2 && !e.shiftKey) {
        const s = snapScale((d[0] * arm[0] + d[1] * arm[1]) / (length || 1), snap)
        scale = [s, s]
      } else {
        if (side !== 'n' && side !== 's' && Math.abs(arm[0]) > 1) scale[0] = snapScale(d[0] / arm[0], snap)
        if (side !== 'e' && side !== 'w' && Math.abs(arm[1]) > 1) scale[1] = snapScale(d[1] / arm[1], snap)
      }
      this.tag = `${Math.round(scale[0] * 100)} \u00d7 ${Math.round(scale[1] * 100)} %`
      this.tagAt = q
      ed.edit(withRegion(ed.doc, i, { ...STILL, task: 'scale', anchor, scale }))
    },
    end() {}
  }
}

/** @param {Editor} ed @param {number} i @param {Point} p @returns {Edit} */
export function dragAnchor(ed, i, p) {
  const region = ed.doc.regions[i]
  const outline = ed.outline(region)
  const start = region.anchor ?? outline.centroid
  const { x, y, w, h } = outline.box
  const angle = region.task === 'rotation' && region.angle == null ? degrees(motionOf(region, outline.centroid).angle) : region.angle
  return {
    name: 'anchor', what: 'anchor', guides: [], tag: '', tagAt: start,
    move(/** @type {Point} */ q, /** @type {Keys} */ e) {
      let a = fine([start[0] + q[0] - p[0], start[1] + q[1] - p[1]])
      if (e.shiftKey) a = lockAxis(a, outline.centroid)
      this.guides = []
      if (ed.show.snap && !e.ctrlKey) {
        const xs = [x, x + (w - 1) / 2, x + w - 1, outline.centroid[0]]
        const ys = [y, y + (h - 1) / 2, y + h - 1, outline.centroid[1]]
        const snapped = snapPoint(a, xs, ys, SNAP / ed.view.scale)
        a = snapped.p
        this.guides = snapped.guides
      }
      this.tag = `anchor ${Math.round(a[0])}, ${Math.round(a[1])}`
      this.tagAt = a
      const turn = region.task === 'rotation' ? { angle, target: undefined } : {}
      ed.edit(withRegion(ed.doc, i, { anchor: a, ...turn }))
    },
    end() {}
  }
}

/** @param {Editor} ed @param {number} i @param {number} k @param {Point} p @returns {Edit} */
function dragKey(ed, i, k, p) {
  const start = ed.doc.regions[i].path[k]
  return {
    name: `key-${k}`, what: 'path', tag: '', tagAt: start,
    move(/** @type {Point} */ q) {
      const at = inPicture(fine([start[0] + q[0] - p[0], start[1] + q[1] - p[1]]), ed.size)
      const path = ed.doc.regions[i].path.map((old, n) => (n === k ? at : old))
      this.tag = `place ${k + 1}`
      this.tagAt = at
      ed.edit(withRegion(ed.doc, i, { path }))
    },
    end() {
      ed.active = `key-${k}`
    }
  }
}

/** The marking itself, its motion with it. @param {Editor} ed @param {number} i @param {Point} p @returns {Edit} */
export function dragMarking(ed, i, p) {
  const region = ed.doc.regions[i]
  return {
    name: 'marking', what: 'move marking', tag: '', tagAt: p,
    move(/** @type {Point} */ q, /** @type {Keys} */ e) {
      const to = e.shiftKey ? lockAxis(q, p) : q
      const by = /** @type {Point} */ ([Math.round(to[0] - p[0]), Math.round(to[1] - p[1])])
      this.tag = `marking ${signed(by[0])}, ${signed(by[1])} px`
      this.tagAt = q
      ed.edit(withRegion(ed.doc, i, movedShape(region, by)))
    },
    end() {}
  }
}

/** @param {Editor} ed @param {number} i @param {string} end start or target @param {Point} p @returns {Edit} */
export function dragPoint(ed, i, end, p) {
  const pair = ed.doc.points[i]
  const key = end === 'start' ? 'start' : 'target'
  return {
    name: `point-${key}`, what: 'move point', tag: '', tagAt: p,
    move(/** @type {Point} */ q, /** @type {Keys} */ e) {
      let at = fine([pair[key][0] + q[0] - p[0], pair[key][1] + q[1] - p[1]])
      if (e.shiftKey) at = lockAxis(at, key === 'start' ? pair.target : pair.start)
      at = inPicture(at, ed.size)
      const now = patch(pair, { [key]: at })
      this.tag = `${signed(now.target[0] - now.start[0])}, ${signed(now.target[1] - now.start[1])} px`
      this.tagAt = at
      ed.edit(withPoint(ed.doc, i, { [key]: at }))
    },
    end() {}
  }
}
