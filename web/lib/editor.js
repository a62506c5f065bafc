// The drag editor: createEditor(root, host). It knows no host: what it needs of one it is given.
import { autoTask } from './autotask.js'
import { emptyDocument, parse, rescaled, serialize } from './document.js'
import { applyTo, invert, matrixOf, motionOf } from './geometry.js'
import { buildShell } from './editor/shell.js'
import { History } from './editor/history.js'
import { listenKeys } from './editor/keyboard.js'
import { describe, hasMotion, withRegion } from './editor/ops.js'
import { listenPointer } from './editor/pointer.js'
import { render } from './editor/render.js'
import { Shapes, inside } from './editor/shapes.js'
import { TOOLS } from './editor/tools.js'
import { dropWand, piecesFor } from './editor/tool_wand.js'
import { acceptFiles } from './editor/transfer.js'
import { View } from './editor/view.js'

/** @typedef {[number, number]} Point */
/**
 * @typedef {object} EditorHost everything is optional
 * @property {(text: string) => void} [onCommit] the document changed by hand
 * @property {() => void} [getImage] the user asks for the picture
 * @property {() => void} [stop] the user stops the running model
 * @property {(text: string) => void} [toast]
 * @property {(open: boolean) => void} [fullscreen] the host shows the root on the whole screen or puts it back
 * @property {(file: File) => void} [uploadImage] a picture was dropped or pasted
 */

/** The inside of the editor; the modules under editor/ work on it. */
export class Editor {
  /** @param {HTMLElement} root @param {EditorHost} host */
  constructor(root, host) {
    this.root = root
    this.host = host
    this.off = new AbortController()
    this.doc = this.committed = emptyDocument()
    this.text = ''
    /** @type {{kind: 'region' | 'point', index: number} | null} */
    this.sel = this.committedSel = null
    this.history = new History()
    this.shapes = new Shapes()
    this.tools = TOOLS
    this.tool = 'polygon'
    this.toolRegion = -1
    this.show = { ghost: true, mask: true, onion: false, snap: true }
    this.combine = /** @type {'new' | 'add' | 'subtract'} */ ('new')
    this.brush = 16
    this.scrub = 1
    this.split = 0
    this.showing = /** @type {'edit' | 'result'} */ ('edit')
    this.active = 'target'
    this.size = { width: 512, height: 512 }
    /** @type {any} */
    this.draft = this.gesture = this.hover = this.cursor = this.hot = this.image = this.preview = this.result = this.running = null
    this.placing = this.peek = this.byKeys = this.coarse = this.full = this.paintMask = this.space = false
    this.error = ''
    this.note = ''
    /** @type {Record<string, any>} */
    this.layers = {}
    this.times = /** @type {number[]} */ ([])
    this.raf = 0
    buildShell(this) // el, box, canvas, sink, and parts with sync()
    this.g = /** @type {CanvasRenderingContext2D} */ (this.canvas.getContext('2d'))
    this.view = new View(this.box, this.canvas)
    this.observer = new ResizeObserver(() => this.layout())
    this.observer.observe(this.box)
    listenPointer(this)
    listenKeys(this)
    this.layout()
    this.sync()
  }

  // ---- document

  /** Shows a document; commit() makes it a step. @param {any} doc */
  edit(doc) {
    this.doc = doc
    this.draw()
  }

  /** Back to the last step. */
  revert() {
    this.doc = this.committed
    this.sel = this.valid(this.sel)
    this.sync()
  }

  /** Stores what is shown: one step of undo. @param {string} what @param {boolean} [merge] with the step before */
  commit(what, merge = false) {
    if (this.doc === this.committed) return
    const { width, height } = this.size
    const { image } = this.doc
    if (image.width !== width || image.height !== height) this.doc = { ...this.doc, image: { ...image, width, height } }
    if (!merge) this.history.push({ doc: this.committed, sel: this.committedSel, what })
    this.error = this.note = ''
    if (this.showing === 'result') this.showing = 'edit'
    this.store()
    this.announce()
  }

  store() {
    this.committed = this.doc
    this.committedSel = this.sel
    this.text = serialize(this.doc)
    this.host.onCommit?.(this.text)
    this.sync()
  }

  /** @param {'undo' | 'redo'} way */
  step(way) {
    this.gesture = this.draft = null
    this.showing = 'edit'
    const now = { doc: this.committed, sel: this.committedSel, what: '' }
    const step = this.history[way](now)
    if (!step) return this.say(`Nothing to ${way}`)
    this.doc = step.doc
    this.sel = this.valid(step.sel)
    this.store()
    this.say(`${way === 'undo' ? 'Undone' : 'Redone'}: ${step.what}`)
  }

  /** A document from outside; nothing is sent back. @param {string} text */
  setText(text) {
    const next = typeof text === 'string' ? text : ''
    if (next === this.text) return
    const { doc, error } = parse(next)
    if (this.text !== '') this.history.push({ doc: this.committed, sel: this.committedSel, what: 'load a document' })
    this.text = next
    this.error = error ?? ''
    this.doc = doc
    this.draft = this.gesture = null
    if (this.image) this.fitDocument()
    else if (doc.image.width && doc.image.height) this.resize({ width: doc.image.width, height: doc.image.height })
    this.committed = this.doc
    this.sel = this.committedSel = this.valid(this.sel)
    if (doc.regions.length || doc.points.length) this.tool = 'select'
    this.sync()
  }

  /** The document in the pixels of the picture; said where that changes it. */
  fitDocument() {
    const { width, height } = this.doc.image
    if (!width || !height || (width === this.size.width && height === this.size.height)) return
    if (!this.doc.regions.length && !this.doc.points.length) return
    this.note = `drawn at ${width}\u00d7${height}, scaled to ${this.size.width}\u00d7${this.size.height}`
    this.doc = rescaled(this.doc, this.size.width, this.size.height)
  }

  /** The task that fits, where the editor may choose it. @param {number} i */
  autoTask(i) {
    const region = this.doc.regions[i]
    if (region?.auto !== true || !hasMotion(region)) return
    const { centroid } = this.outline(region)
    const scaled = piecesFor(this, region)
    const task = autoTask(scaled.region, motionOf(region, centroid), scaled.pieces)
    if (task !== region.task && (task === 'relocation' || task === 'deformation') && region.target) this.edit(withRegion(this.doc, i, { task }))
  }

  // ---- what is where

  /** @param {any} shape */
  outline(shape) {
    return this.shapes.of(shape, this.size)
  }

  /** Regions under a picture point, the selected one first, then from the top. @param {Point} p @returns {number[]} */
  regionsAt(p) {
    const out = []
    for (let i = this.doc.regions.length - 1; i >= 0; i--) {
      const region = this.doc.regions[i]
      if (region.hidden) continue
      const outline = this.outline(region)
      const back = invert(matrixOf(motionOf(region, outline.centroid), 1))
      if (inside(outline, p) || (back && hasMotion(region) && inside(outline, applyTo(back, p)))) out.push(i)
    }
    const mine = this.sel?.kind === 'region' ? out.indexOf(this.sel.index) : -1
    if (mine > 0) out.unshift(...out.splice(mine, 1))
    return out
  }

  /** @param {Point} p */
  regionAt(p) {
    return this.regionsAt(p)[0] ?? -1
  }

  /** How near counts as on it, in box pixels. */
  reach() {
    return this.coarse ? 22 : 10
  }

  // ---- state of the hand

  /** @param {any} sel */
  valid(sel) {
    const list = sel?.kind === 'point' ? this.doc.points : this.doc.regions
    return sel && sel.index >= 0 && sel.index < list.length ? sel : null
  }

  /** @param {any} sel */
  select(sel) {
    this.sel = this.committedSel = this.valid(sel)
    this.active = 'target'
    this.placing = false
    if (this.sel?.index !== this.toolRegion) this.toolRegion = -1
    this.sync()
    this.announce()
  }

  /** @param {string} name */
  setTool(name) {
    if (!this.tools[name]) return
    if (this.tool !== name) this.toolRegion = -1
    this.tool = name
    this.draft = this.cursor = null
    this.placing = false
    this.showing = 'edit'
    if (name !== 'select' && name !== 'pan' && !this.gesture) this.tools[name].enter?.(this)
    this.canvas.style.cursor = this.tools[name].cursor
    this.sync()
  }

  announce() {
    const region = this.sel?.kind === 'region' ? this.doc.regions[this.sel.index] : null
    if (region && this.sel) this.say(describe(region, this.sel.index, this.outline(region).centroid))
    else if (this.sel) {
      const { start, target } = this.doc.points[this.sel.index]
      this.say(`Point ${this.sel.index + 1}: from ${start.map(Math.round)} to ${target.map(Math.round)}`)
    } else this.say('')
  }

  /** @param {string} text for the status line and the screen reader */
  say(text) {
    this.parts.status.say(text)
  }

  focus() {
    this.sink.focus({ preventScroll: true })
  }

  /** @param {boolean} open */
  setFull(open) {
    if (this.full === open) return
    this.full = open
    this.el.classList.toggle('drg-full', open)
    this.view.user = false
    this.sync()
    requestAnimationFrame(() => {
      this.layout()
      this.focus()
    })
  }

  toggleFull() {
    const open = !this.full
    this.setFull(open)
    if (this.host.fullscreen) this.host.fullscreen(open)
  }

  // ---- picture

  /** @param {{width: number, height: number}} size */
  resize({ width, height }) {
    if (this.size.width === width && this.size.height === height) return
    this.size = { width, height }
    this.brush = Math.max(2, Math.round((width + height) * 0.015))
    if (this.view?.width) this.view.fit(this.size)
  }

  /** @param {any} image @param {{width: number, height: number}} [size] of the whole picture, if `image` is a smaller copy */
  setImage(image, size) {
    if (image !== this.image) dropWand(this)
    this.image = image
    const width = size?.width ?? image?.naturalWidth ?? image?.width
    const height = size?.height ?? image?.naturalHeight ?? image?.height
    if (width && height) this.resize({ width, height })
    this.fitDocument()
    this.committed = this.doc
    if (!this.view.user) this.layout()
    if (this.tool === 'wand') this.tools.wand.enter?.(this)
    this.sync()
  }

  /** @param {any} bitmap @param {number | null} progress in [0, 1]; null: the run is over */
  setPreview(bitmap, progress) {
    this.preview = progress === null ? null : bitmap ?? this.preview
    this.running = progress === null ? null : { progress }
    if (this.running) this.showing = 'edit'
    this.sync()
  }

  /** @param {any} bitmap of the finished run, or null */
  setResult(bitmap) {
    this.preview = this.running = null
    this.result = bitmap
    this.showing = bitmap ? 'result' : 'edit'
    this.split = 0
    this.sync()
    if (bitmap) this.say('The result is here: hold \\ for the picture before, drag to compare')
  }

  // ---- drawing

  layout() {
    const wide = this.el.clientWidth >= 720
    this.el.classList.toggle('drg-narrow', this.el.clientWidth < 360)
    if (wide !== this.wide) {
      this.wide = wide
      this.el.classList.toggle('drg-wide', wide)
      this.sync() // the panel comes or goes now, not under the next drag
    }
    if (!this.view.layout()) return
    if (!this.view.user) this.view.fit(this.size)
    this.draw()
  }

  /** A canvas as large as the box that is drawn again only when it must. @param {string} name */
  layer(name) {
    const { width, height } = this.canvas
    const kept = this.layers[name]
    if (kept && kept.g.canvas.width === width && kept.g.canvas.height === height) return kept
    const canvas = document.createElement('canvas')
    canvas.width = width
    canvas.height = height
    return (this.layers[name] = { g: canvas.getContext('2d'), key: '', image: null })
  }

  hatch() {
    if (this.pattern) return this.pattern
    const tile = document.createElement('canvas')
    tile.width = tile.height = 16
    const g = /** @type {CanvasRenderingContext2D} */ (tile.getContext('2d'))
    g.strokeStyle = 'rgba(255, 255, 255, 0.2)'
    g.lineWidth = 2
    for (const x of [-16, 0, 16]) {
      g.moveTo(x - 2, 18)
      g.lineTo(x + 18, -2)
    }
    g.stroke()
    return (this.pattern = /** @type {CanvasPattern} */ (g.createPattern(tile, 'repeat')))
  }

  draw() {
    if (!this.raf) this.raf = requestAnimationFrame(() => this.frame())
  }

  frame() {
    this.raf = 0
    const begin = performance.now()
    if (this.view.width && this.canvas.isConnected) render(this)
    this.parts.frame()
    this.times.push(performance.now() - begin)
    if (this.times.length > 300) this.times.shift()
  }

  /** Brings everything around the canvas up to date. */
  sync() {
    this.parts?.sync()
    if (this.view) this.draw()
  }

  viewState() {
    const { tool, show, sel, brush, scrub, combine, text } = this
    return { view: this.view.state(), tool, show: { ...show }, sel, brush, scrub, combine, text, history: this.history }
  }

  /** @param {any} s of viewState() */
  restoreView(s) {
    if (!s) return
    const { tool, brush, scrub, combine } = s
    Object.assign(this, { tool, brush, scrub, combine, show: { ...this.show, ...s.show } })
    if (s.history instanceof History) this.history = s.history
    this.sel = this.committedSel = this.valid(s.sel)
    this.view.restore(s.view)
    this.sync()
  }

  destroy() {
    this.off.abort()
    this.observer.disconnect()
    cancelAnimationFrame(this.raf)
    dropWand(this)
    this.el.remove()
  }
}

/**
 * Puts a drag editor into `root`.
 * @param {HTMLElement} root it fills this element @param {EditorHost} [host]
 */
export function createEditor(root, host = {}) {
  const ed = new Editor(root, host)
  return {
    setText: (/** @type {string} */ text) => ed.setText(text),
    getText: () => ed.text,
    setImage: (/** @type {any} */ image, /** @type {any} */ size) => ed.setImage(image, size),
    setPreview: (/** @type {any} */ bitmap, /** @type {number | null} */ progress) => ed.setPreview(bitmap, progress),
    setResult: (/** @type {any} */ bitmap) => ed.setResult(bitmap),
    setError: (/** @type {string} */ text) => {
      ed.error = text ?? ''
      ed.sync()
    },
    /** The host closed or opened the whole screen by itself (Esc of a dialog). @param {boolean} open */
    setFullscreen: (open) => ed.setFull(open),
    /** Files that were dropped on what belongs to the editor. @param {File[]} files */
    acceptFiles: (files) => acceptFiles(ed, files),
    focus: () => ed.focus(),
    viewState: () => ed.viewState(),
    restoreView: (/** @type {any} */ state) => ed.restoreView(state),
    destroy: () => ed.destroy(),
    /** For tests: what is on the screen. */
    state: () => ({
      doc: ed.doc, text: ed.text, sel: ed.sel, tool: ed.tool, view: ed.view.state(), size: ed.size, times: [...ed.times], scrub: ed.scrub,
      showing: ed.showing, peek: ed.peek, full: ed.full, brush: ed.brush, cursor: ed.cursor, draft: ed.draft, error: ed.error,
      toClient: (/** @type {Point} */ p) => {
        const r = ed.box.getBoundingClientRect()
        const [x, y] = ed.view.toScreen(p)
        return [r.left + (x / ed.view.width) * r.width, r.top + (y / ed.view.height) * r.height]
      },
      handles: () => ed.parts.handles()
    })
  }
}
