// The document in hand: what is shown, what is stored, and the way back.
import { autoTask } from '../autotask.js'
import { emptyDocument, parse, rescaled, serialize } from '../document.js'
import { motionOf } from '../geometry.js'
import { History } from './history.js'
import { hasMotion, sameMarking, withRegion } from './ops.js'
import { piecesFor } from './pieces.js'
/** @import { Doc, Draft, Drag, Editor, Intent, Sel, Slide } from './types.js' */

/**
 * Documents are never changed in place: `doc` is what is shown, `committed` what is stored; they differ while something is dragged.
 * What it needs of the editor around it (size, image, draw, sync, say ...) is there when it is called: `this` is an Editor.
 */
export class Session {
  constructor() {
    this.doc = this.committed = emptyDocument()
    this.text = ''
    this.sel = /** @type {Sel | null} */ (null)
    this.committedSel = /** @type {Sel | null} */ (null)
    this.draft = /** @type {Draft | null} */ (null)
    this.gesture = /** @type {Drag | Slide | null} */ (null)
    this.history = new History()
    this.error = '' // a sentence: what is wrong with the document that was given
    this.note = '' // a sentence: what was adapted
    this.told = { error: '', notes: /** @type {string[]} */ ([]) } // by the last run, until the next edit
    this.intent = /** @type {Intent | null} */ (null) // what a model guesses that the drag means, for as long as this is marked
    this.trial = /** @type {Doc | null} */ (null) // the drag as the guess under the hand means it
    this.askable = false // somebody is there who can be asked
  }

  /** The place of the selected region in the list; -1 while none is selected. */
  get regionIndex() {
    return this.sel?.kind === 'region' ? this.sel.index : -1
  }

  /** The selected region, or null. */
  get region() {
    return this.sel?.kind === 'region' ? this.doc.regions[this.sel.index] : null
  }

  /** The document that is drawn. */
  get shown() {
    return this.trial ?? this.doc
  }

  /** Shows a document; commit() makes it a step. @this {Editor} @param {Doc} doc */
  edit(doc) {
    this.doc = doc
    this.draw()
  }

  /** Back to the last step. @this {Editor} */
  revert() {
    this.doc = this.committed
    this.sel = this.valid(this.sel)
    this.sync()
  }

  /** Stores what is shown: one step of undo. @this {Editor} @param {string} what @param {boolean} [merge] with the step before */
  commit(what, merge = false) {
    if (this.doc === this.committed) return
    const { width, height } = this.size
    const { image } = this.doc
    if (image.width !== width || image.height !== height) this.doc = { ...this.doc, image: { ...image, width, height } }
    if (!merge) this.history.push({ doc: this.committed, sel: this.committedSel, what })
    this.error = this.note = ''
    this.showing = 'edit'
    this.store()
    this.announce()
  }

  /** @this {Editor} */
  store() {
    this.told = { error: '', notes: [] }
    this.trial = null
    if (!sameMarking(this.committed, this.doc)) this.intent = null
    this.committed = this.doc
    this.committedSel = this.sel
    this.text = serialize(this.doc)
    this.host.onCommit?.(this.text)
    this.sync()
  }

  /** @this {Editor} @param {'undo' | 'redo'} way */
  step(way) {
    this.gesture = this.draft = null
    this.showing = 'edit'
    const now = { doc: this.committed, sel: this.committedSel, what: '' }
    const step = this.history[way](now)
    if (!step) {
      this.revert() // what was being dragged
      return this.say(`Nothing to ${way}`)
    }
    this.doc = step.doc
    this.fitDocument() // the picture may have changed since
    this.sel = this.valid(step.sel)
    this.store()
    this.say(`${way === 'undo' ? 'Undone' : 'Redone'}: ${step.what}`)
  }

  /** A document from outside; nothing is sent back. @this {Editor} @param {string} text */
  setText(text) {
    const next = typeof text === 'string' ? text : ''
    if (next === this.text) return
    const { doc, error } = parse(next)
    if (this.text !== '') this.history.push({ doc: this.committed, sel: this.committedSel, what: 'load a document' })
    this.text = next
    this.error = error ?? ''
    this.note = ''
    this.told = { error: '', notes: [] }
    this.doc = doc
    this.draft = this.gesture = this.intent = this.trial = null
    if (this.image) this.fitDocument()
    else if (doc.image.width && doc.image.height) this.resize({ width: doc.image.width, height: doc.image.height })
    this.committed = this.doc
    this.sel = this.committedSel = this.valid(this.sel)
    if (doc.regions.length || doc.points.length) this.tool = 'select'
    this.sync()
  }

  /** The document in the pixels of the picture; said where that changes it. @this {Editor} */
  fitDocument() {
    const { width, height } = this.doc.image
    if (!width || !height || (width === this.size.width && height === this.size.height)) return
    this.doc = rescaled(this.doc, this.size.width, this.size.height)
    if (!this.doc.regions.length && !this.doc.points.length) return
    this.note = `drawn at ${width}\u00d7${height}, scaled to ${this.size.width}\u00d7${this.size.height}`
  }

  /** The task that fits, where the editor may choose it. @this {Editor} @param {number} i */
  autoTask(i) {
    const region = this.doc.regions[i]
    if (region?.auto !== true || !hasMotion(region)) return
    const { centroid } = this.outline(region)
    const scaled = piecesFor(this, region)
    const task = autoTask(scaled.region, motionOf(region, centroid), scaled.pieces)
    if (task !== region.task && (task === 'relocation' || task === 'deformation') && region.target) this.edit(withRegion(this.doc, i, { task }))
  }

  /** @param {Sel | null | undefined} sel @returns {Sel | null} */
  valid(sel) {
    const list = sel?.kind === 'point' ? this.doc.points : this.doc.regions
    return sel && sel.index >= 0 && sel.index < list.length ? sel : null
  }
}
