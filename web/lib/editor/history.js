// Undo and redo of every gesture. Documents are never changed in place, so a step is a reference, not a copy.
/** @import { Doc, Sel } from './types.js' */

const LIMIT = 200

/** @typedef {{doc: Doc, sel: Sel | null, what: string}} Step */

export class History {
  constructor() {
    /** @type {Step[]} */
    this.past = []
    /** @type {Step[]} */
    this.future = []
  }

  /** Notes the state before a change. @param {Step} step */
  push(step) {
    this.past.push(step)
    if (this.past.length > LIMIT) this.past.shift()
    this.future.length = 0
  }

  /** The state to return to, or null. @param {Step} now @returns {Step | null} */
  undo(now) {
    const step = this.past.pop()
    if (!step) return null
    this.future.push({ ...now, what: step.what })
    return step
  }

  /** @param {Step} now @returns {Step | null} */
  redo(now) {
    const step = this.future.pop()
    if (!step) return null
    this.past.push({ ...now, what: step.what })
    return step
  }
}
