// The inside of the editor: the hand's state, the picture, the canvas. The modules beside it work on it.
import { applyTo, invert, matrixOf, motionOf } from '../geometry.js'
import { History } from './history.js'
import { listenKeys } from './keyboard.js'
import { describe, hasMotion } from './ops.js'
import { listenPointer } from './pointer.js'
import { render } from './render.js'
import { Session } from './session.js'
import { Shapes, inside } from './shapes.js'
import { buildShell } from './shell.js'
import { dropWand } from './pieces.js'
import { TOOLS } from './tools.js'
import { View } from './view.js'
/** @import { Context, Layer, MarkedShape, Menu, Mode, Parts, Picture, Point, Running, Sel, Showing, Size, ToolName, ViewState, Wand } from './types.js' */

export class Editor extends Session {
  /** @param {HTMLElement} root @param {import('../editor.js').EditorHost} host */
  constructor(root, host) {
    super()
    this.root = root
    this.host = host
    this.off = new AbortController()
    this.shapes = new Shapes()
    this.tools = TOOLS
    this.tool = /** @type {ToolName} */ ('polygon')
    this.toolRegion = -1 // the region that the strokes of this stay at the tool belong to
    this.show = { ghost: true, mask: true, onion: false, snap: true }
    this.combine = /** @type {Mode} */ ('new')
    this.grain = 2 // of the wand's pieces, a place in GRAINS
    this.brush = 16
    this.scrub = 1
    this.split = 0
    this.showing = /** @type {Showing} */ ('edit')
    this.active = 'target' // what the arrows move: target, start, anchor, key-<n>, marking
    this.size = { width: 512, height: 512 }
    this.hover = /** @type {Point | null} */ (null) // where the pointer is
    this.cursor = /** @type {Point | null} */ (null) // the keyboard's cross
    this.hot = /** @type {string | null} */ (null) // the handle under the pointer
    this.image = /** @type {Picture | null} */ (null)
    this.preview = /** @type {Picture | null} */ (null)
    this.result = /** @type {Picture | null} */ (null)
    this.resultOf = /** @type {string | null} */ (null) // what was drawn when its run began
    this.unseen = false // a result waits in the corner
    this.running = /** @type {Running | null} */ (null)
    this.menu = /** @type {Menu | null} */ (null)
    this.wand = /** @type {Wand | null} */ (null)
    this.worker = /** @type {Worker | null} */ (null)
    this.pattern = /** @type {CanvasPattern | null} */ (null)
    this.wide = /** @type {boolean | undefined} */ (undefined)
    this.placing = this.peek = this.byKeys = this.coarse = this.full = this.paintMask = this.space = false
    this.layers = /** @type {Record<string, Layer>} */ ({})
    this.times = /** @type {number[]} */ ([])
    this.raf = 0
    /** @type {HTMLElement} */
    this.el
    /** @type {HTMLElement} */
    this.box
    /** @type {HTMLCanvasElement} */
    this.canvas
    /** @type {HTMLInputElement} where the keys arrive */
    this.sink
    /** @type {Parts} */
    this.parts
    buildShell(this) // the five above
    this.g = /** @type {Context} */ (this.canvas.getContext('2d'))
    this.view = new View(this.box, this.canvas)
    this.observer = new ResizeObserver(() => this.layout())
    this.observer.observe(this.box)
    listenPointer(this)
    listenKeys(this)
    this.layout()
    this.sync()
  }

  // ---- what is where

  /** @param {MarkedShape} shape */
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
    const mine = out.indexOf(this.regionIndex)
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

  /** @param {Sel | null} sel */
  select(sel) {
    this.sel = this.committedSel = this.valid(sel)
    this.active = 'target'
    this.placing = false
    if (this.sel?.index !== this.toolRegion) this.toolRegion = -1
    this.sync()
    this.announce()
  }

  /** @param {ToolName} name */
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
    const { region } = this
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

  /** @param {Size} size */
  resize({ width, height }) {
    if (this.size.width === width && this.size.height === height) return
    this.size = { width, height }
    this.brush = Math.max(2, Math.round((width + height) * 0.015))
    if (this.view?.width) this.view.fit(this.size)
  }

  /** @param {Picture | null} image @param {Size} [size] of the whole picture, if `image` is a smaller copy */
  setImage(image, size) {
    if (image !== this.image) dropWand(this)
    this.image = image
    const width = size?.width ?? image?.naturalWidth ?? image?.width
    const height = size?.height ?? image?.naturalHeight ?? image?.height
    if (width && height) this.resize({ width, height })
    const shown = this.doc
    this.fitDocument()
    if (this.doc !== shown) this.committed = this.doc // else it stays as stored, also while something is dragged
    if (!this.view.user) this.layout()
    if (this.tool === 'wand') this.tools.wand.enter?.(this)
    this.sync()
  }

  // ---- drawing

  layout() {
    const wide = this.el.clientWidth >= 720
    this.el.classList.toggle('drg-slim', this.el.clientWidth < 440)
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

  /** A canvas as large as the box that is drawn again only when it must. @param {string} name @returns {Layer} */
  layer(name) {
    const { width, height } = this.canvas
    const kept = this.layers[name]
    if (kept && kept.g.canvas.width === width && kept.g.canvas.height === height) return kept
    const canvas = document.createElement('canvas')
    canvas.width = width
    canvas.height = height
    const g = /** @type {Context} */ (canvas.getContext('2d'))
    return (this.layers[name] = { g, key: '', of: null })
  }

  hatch() {
    if (this.pattern) return this.pattern
    const tile = document.createElement('canvas')
    tile.width = tile.height = 16
    const g = /** @type {Context} */ (tile.getContext('2d'))
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
    const { tool, show, sel, brush, scrub, combine } = this
    return { view: this.view.state(), tool, show: { ...show }, sel, brush, scrub, combine, history: this.history }
  }

  /** @param {ViewState | null | undefined} s */
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
