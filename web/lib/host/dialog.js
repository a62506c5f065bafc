// What is in `root` on the whole screen, in a dialog: while one is open, the host leaves keys and its undo alone.

/**
 * @param {HTMLElement} root its children move into the dialog and back; it stays where the host put it
 * @param {() => void} closed the browser closed the dialog, as on Esc
 */
export function fullScreen(root, closed) {
  let dialog = /** @type {HTMLDialogElement | null} */ (null)

  function close() {
    if (!dialog) return
    const was = dialog
    dialog = null
    root.append(...was.childNodes)
    was.close()
    was.remove()
  }

  function open() {
    if (dialog) return
    const made = dialog = document.createElement('dialog')
    made.setAttribute('aria-label', 'Drag editor')
    made.style.cssText =
      'position:fixed;inset:0;width:100vw;height:100vh;max-width:none;max-height:none;margin:0;padding:0;border:0;' +
      'overflow:hidden;background:var(--comfy-menu-bg, #222);color:var(--fg-color, #ddd)'
    made.addEventListener('cancel', (e) => e.preventDefault()) // Esc is the editor's: first it cancels what one does
    made.addEventListener('close', () => {
      if (dialog !== made) return
      close()
      closed()
    })
    for (const type of ['pointerdown', 'wheel', 'paste', 'drop']) made.addEventListener(type, (e) => e.stopPropagation())
    made.append(...root.childNodes)
    document.body.append(made)
    made.showModal()
  }

  return { open, close, isOpen: () => !!dialog }
}
