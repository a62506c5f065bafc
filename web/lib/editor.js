// The drag editor: createEditor(root, host). It knows no host: what it needs of one it is given.
import { Editor } from './editor/core.js'
import { readIntent } from './editor/meant.js'
import { setPreview, setResult, setRun } from './editor/run.js'
import { acceptFiles } from './editor/transfer.js'

/** @import { Picture, Point, Running, Size, ViewState } from './editor/types.js' */

/** @typedef {ReturnType<typeof createEditor>} DragEditor what createEditor() gives */

/**
 * @typedef {object} EditorHost everything is optional
 * @property {(text: string) => void} [onCommit] the document changed by hand
 * @property {() => void} [getImage] the user asks for the picture
 * @property {() => void} [ask] the user asks what the drag may mean; see setIntent
 * @property {() => void} [run] the user runs the graph
 * @property {() => void} [stop] the user stops the running model
 * @property {(text: string) => void} [toast]
 * @property {(open: boolean) => void} [fullscreen] the host shows the root on the whole screen or puts it back
 * @property {(file: File) => void} [uploadImage] a picture was dropped or pasted
 */

/**
 * Puts a drag editor into `root`.
 * @param {HTMLElement} root it fills this element @param {EditorHost} [host]
 */
export function createEditor(root, host = {}) {
  const ed = new Editor(root, host)
  return {
    setText: (/** @type {string} */ text) => ed.setText(text),
    getText: () => ed.text,
    setImage: (/** @type {Picture | null} */ image, /** @type {Size | undefined} */ size) => ed.setImage(image, size),
    /** What the model does; null: it is at rest. @param {Running | null} running */
    setRun: (running) => setRun(ed, running),
    setPreview: (/** @type {Picture | null} */ bitmap) => setPreview(ed, bitmap),
    /** What a run gave; see setResult in editor/run.js. @param {Picture | null} bitmap @param {string | null} [drawn] @param {boolean} [quiet] */
    setResult: (bitmap, drawn, quiet) => setResult(ed, bitmap, drawn, quiet),
    setError: (/** @type {string} */ text) => {
      ed.error = text ?? ''
      ed.sync()
    },
    /** What the last run said, until the next edit: why it failed, what is to be noted. @param {string} error @param {string[]} notes */
    setTold: (error, notes) => {
      ed.told = { error, notes }
      ed.sync()
    },
    /** What it has to say besides. @param {string[]} notes */
    addNotes: (notes) => {
      ed.told = { ...ed.told, notes: [...new Set([...ed.told.notes, ...notes])] }
      ed.sync()
    },
    /** In the status line. @param {string} text */
    say: (text) => ed.say(text),
    /** What a model guesses that the drag means; without a candidate nothing changes. @param {unknown} intent */
    setIntent: (intent) => {
      const read = readIntent(intent)
      if (!read) return
      Object.assign(ed, { intent: read, trial: null, showing: 'edit' })
      ed.sync()
    },
    /** @param {boolean} askable there is somebody who can be asked what the drag means */
    setAskable: (askable) => {
      if (ed.askable === askable) return
      ed.askable = askable
      ed.sync()
    },
    /** The host closed or opened the whole screen by itself (Esc of a dialog). @param {boolean} open */
    setFullscreen: (open) => ed.setFull(open),
    /** Files that were dropped on what belongs to the editor. @param {File[]} files */
    acceptFiles: (files) => acceptFiles(ed, files),
    focus: () => ed.focus(),
    viewState: () => ed.viewState(),
    restoreView: (/** @type {ViewState | null | undefined} */ state) => ed.restoreView(state),
    destroy: () => ed.destroy(),
    /** For tests: what is on the screen. */
    state: () => ({
      doc: ed.doc, text: ed.text, sel: ed.sel, tool: ed.tool, view: ed.view.state(), size: ed.size, times: [...ed.times], scrub: ed.scrub,
      showing: ed.showing, peek: ed.peek, full: ed.full, brush: ed.brush, cursor: ed.cursor, draft: ed.draft, error: ed.error, told: ed.told, running: ed.running,
      intent: ed.intent, trial: ed.trial, askable: ed.askable,
      toClient: (/** @type {Point} */ p) => {
        const r = ed.box.getBoundingClientRect()
        const [x, y] = ed.view.toScreen(p)
        return [r.left + (x / ed.view.width) * r.width, r.top + (y / ed.view.height) * r.height]
      },
      handles: () => ed.parts.handles()
    })
  }
}
