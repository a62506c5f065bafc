// Files in and out: drop, paste, import and export.
import { parse, serialize } from '../document.js'
import { make } from './dom.js'

/** @param {any} ed */
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

/** A picture alone goes to the host; a document or the files of a data set are read. @param {any} ed @param {File[]} files */
export async function acceptFiles(ed, files) {
  try {
    if (files.length === 1 && files[0].type.startsWith('image/')) {
      if (files[0].type === 'image/svg+xml') return ed.say('SVG pictures are not taken: use PNG, JPEG or WebP')
      if (ed.host.uploadImage) return ed.host.uploadImage(files[0])
      return ed.say('A picture can not be taken here')
    }
    if (files.length === 1) return takeDocument(ed, await files[0].text())
  } catch (e) {
    console.error('drag editor: import failed', e)
    ed.say('These files could not be read')
  }
}

/** @param {any} ed @param {string} text */
function takeDocument(ed, text) {
  const { doc, error } = parse(text)
  if (error) {
    ed.error = error
    return ed.sync()
  }
  ed.edit(doc)
  if (ed.image) ed.fitDocument()
  ed.sel = null
  ed.commit('import')
  ed.say(`Imported: ${doc.regions.length} regions, ${doc.points.length} points`)
}

/** Lets the user choose files. @param {any} ed */
export function pickFiles(ed) {
  const input = make('input', { type: 'file', multiple: true, accept: '.json,image/png,image/jpeg,image/webp' })
  input.addEventListener('change', () => acceptFiles(ed, [...(input.files ?? [])]))
  input.click()
}

/** @param {any} ed @param {string} kind */
export async function exportAs(ed, kind) {
  if (kind === 'json') save(new Blob([serialize(ed.doc)], { type: 'application/json' }), 'drag.json')
}

/** @param {Blob} blob @param {string} name */
export function save(blob, name) {
  const url = URL.createObjectURL(blob)
  const link = make('a', { href: url, download: name })
  link.click()
  setTimeout(() => URL.revokeObjectURL(url), 10000)
}
