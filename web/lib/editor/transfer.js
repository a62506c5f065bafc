// Files in and out: drop, paste, import and export.
import { parse } from '../document.js'
import { bytesOf, zipOf } from '../files.js'
import { exportFiles, importFiles } from '../formats.js'
import { make } from './dom.js'
/** @import { Context, Doc, Editor, Picture } from './types.js' */

/** @param {Editor} ed */
export function listenTransfer(ed) {
  const { el, sink } = ed
  const { signal } = ed.off
  const holds = (/** @type {DragEvent} */ e) => [...(e.dataTransfer?.types ?? [])].includes('Files')
  el.addEventListener('dragover', (/** @type {DragEvent} */ e) => {
    if (!holds(e)) return
    e.preventDefault()
    e.stopPropagation()
    el.classList.add('drg-drop')
  }, { signal })
  el.addEventListener('dragleave', (/** @type {DragEvent} */ e) => {
    if (!(e.relatedTarget instanceof Node && el.contains(e.relatedTarget))) el.classList.remove('drg-drop')
  }, { signal })
  el.addEventListener('drop', (/** @type {DragEvent} */ e) => {
    el.classList.remove('drg-drop')
    const files = [...(e.dataTransfer?.files ?? [])]
    if (!files.length) return
    e.preventDefault()
    e.stopPropagation()
    acceptFiles(ed, files)
  }, { signal })
  sink.addEventListener('paste', (/** @type {ClipboardEvent} */ e) => {
    e.stopPropagation() // the host would paste nodes
    e.preventDefault()
    const files = [...(e.clipboardData?.files ?? [])]
    if (files.length) return acceptFiles(ed, files)
    const text = e.clipboardData?.getData('text/plain') ?? ''
    if (text.trim().startsWith('{')) takeDocument(ed, text)
  }, { signal })
  sink.addEventListener('copy', (/** @type {ClipboardEvent} */ e) => {
    if (!ed.text) return
    e.clipboardData?.setData('text/plain', ed.text)
    e.stopPropagation()
    e.preventDefault()
    ed.say('The drag document is in the clipboard')
  }, { signal })
}

const MOST = 100e6 // bytes of one file
const PIXELS = 64e6

/** A picture alone goes to the host; a document or the files of a data set are read. @param {Editor} ed @param {File[]} files */
export async function acceptFiles(ed, files) {
  try {
    const svg = files.find((f) => f.type === 'image/svg+xml')
    if (svg) return fail(ed, 'SVG pictures are not taken: use PNG, JPEG or WebP')
    if (files.some((f) => f.size > MOST)) return fail(ed, 'a file is larger than 100 MB')
    if (files.length === 1 && files[0].type.startsWith('image/')) {
      if (!ed.host.uploadImage) return fail(ed, 'a picture can not be taken here')
      return ed.host.uploadImage(files[0])
    }
    /** @type {import('../formats.js').Files} */
    const read = {}
    for (const file of files) read[file.name] = file.type.startsWith('image/') ? await pixelsOf(file) : await file.text()
    const { doc, error, picture } = importFiles(read)
    if (error) return fail(ed, error)
    const image = files.find((f) => f.name === picture)
    if (image) ed.host.uploadImage?.(image)
    take(ed, doc)
  } catch (e) {
    console.warn('drag editor: import failed', e)
    fail(ed, 'these files could not be read')
  }
}

/** The pixels of a picture file. @param {File} file @returns {Promise<ImageData>} */
async function pixelsOf(file) {
  const bitmap = await createImageBitmap(file)
  if (bitmap.width * bitmap.height > PIXELS) throw new Error('picture too large')
  return imageData(bitmap, bitmap.width, bitmap.height)
}

/** @param {Picture} image @param {number} width @param {number} height */
function imageData(image, width, height) {
  const canvas = document.createElement('canvas')
  canvas.width = width
  canvas.height = height
  const g = /** @type {Context} */ (canvas.getContext('2d', { willReadFrequently: true }))
  g.drawImage(image, 0, 0, width, height)
  return g.getImageData(0, 0, width, height)
}

/** @param {Editor} ed @param {string} text */
function fail(ed, text) {
  ed.error = text
  ed.host.toast?.(text)
  ed.say(text)
  ed.sync()
}

/** @param {Editor} ed @param {string} text */
function takeDocument(ed, text) {
  const { doc, error } = parse(text)
  if (error) return fail(ed, error)
  take(ed, doc)
}

/** @param {Editor} ed @param {Doc} doc */
function take(ed, doc) {
  ed.edit(doc)
  if (ed.image) ed.fitDocument()
  else if (doc.image.width && doc.image.height) ed.resize({ width: doc.image.width, height: doc.image.height })
  const note = ed.note
  ed.sel = null
  ed.setTool('select')
  ed.commit('import')
  ed.note = note // what was scaled stays said
  ed.sync()
  ed.say(`Imported: ${doc.regions.length} regions, ${doc.points.length} points`)
}

/** Lets the user choose files. @param {Editor} ed */
export function pickFiles(ed) {
  const input = make('input', { type: 'file', multiple: true, accept: '.json,image/png,image/jpeg,image/webp' })
  input.addEventListener('change', () => acceptFiles(ed, [...(input.files ?? [])]))
  input.click()
}

/** One file as it is, several as a ZIP. @param {Editor} ed @param {string} kind a key of KINDS */
export function exportAs(ed, kind) {
  const { width, height } = ed.size
  /** @type {import('../formats.js').Source} */
  let picture = { width, height }
  try {
    if (kind !== 'json' && ed.image) picture = imageData(ed.image, width, height)
  } catch {
    ed.note = 'the pixels of this picture can not be read here: it was left out'
  }
  const { files, notes, error } = exportFiles(ed.doc, kind, picture)
  if (error) return fail(ed, error)
  const names = Object.keys(files)
  const one = names.length === 1
  const bytes = one ? bytesOf(files[names[0]]) : zipOf(files)
  save(new Blob([bytes], { type: one ? 'application/json' : 'application/zip' }), one ? names[0] : `drag-${kind}.zip`)
  if (notes.length) ed.note = notes.join('; ')
  ed.sync()
  ed.say(`Exported: ${names.join(', ')}`)
}

/** @param {Blob} blob @param {string} name */
function save(blob, name) {
  const url = URL.createObjectURL(blob)
  make('a', { href: url, download: name }).click()
  setTimeout(() => URL.revokeObjectURL(url), 10000)
}
