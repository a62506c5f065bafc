// DragOptimize: choosing a recipe shows its numbers in `method`; changing one of them by hand makes the recipe custom.
import { app } from '../../scripts/app.js'

const widgetOf = (node, name) => node.widgets?.find((w) => w.name === name)

let importing = 0 // an import in API format sets every widget as a hand would

function chain(widget, after) {
  const before = widget.callback
  widget.callback = function (...args) {
    const out = before?.apply(this, args)
    after(args[0])
    return out
  }
}

app.registerExtension({
  name: 'drag.Recipes',
  setup() {
    const load = app.loadApiJson
    if (typeof load !== 'function') return
    app.loadApiJson = async function (...args) {
      importing++
      try {
        return await load.apply(this, args)
      } finally {
        importing--
      }
    }
  },
  nodeCreated(node) {
    if (node.comfyClass !== 'DragOptimize') return
    const numbers = node.constructor.nodeData?.input?.required?.recipe?.[1]?.drag_numbers ?? {}
    const seen = new WeakSet()
    let filling = false

    /** The method's own widgets are made anew whenever it changes. */
    function watch() {
      for (const widget of node.widgets ?? []) {
        if (seen.has(widget) || !(widget.name === 'method' || widget.name.startsWith('method.'))) continue
        seen.add(widget)
        chain(widget, () => {
          watch()
          const recipe = widgetOf(node, 'recipe')
          const own = numbers[recipe?.value]
          if (filling || importing || !own) return
          const shown = widget.name === 'method' ? own[0] : own[1][widget.name.slice('method.'.length)]
          if (widget.value !== shown) recipe.value = 'custom'
        })
      }
    }

    function fill(name) {
      if (importing || !numbers[name]) return
      const [method, values] = numbers[name]
      filling = true
      try {
        widgetOf(node, 'method').value = method
        watch()
        for (const [key, value] of Object.entries(values)) {
          const widget = widgetOf(node, `method.${key}`)
          if (widget) widget.value = value
        }
      } finally {
        filling = false
      }
      app.canvas?.setDirty(true, true)
    }

    const recipe = widgetOf(node, 'recipe')
    if (!recipe) return
    chain(recipe, fill)
    const configured = node.onConfigure
    node.onConfigure = function (...args) {
      const out = configured?.apply(this, args)
      watch() // a saved workflow brings its own method and numbers
      return out
    }
    watch()
  }
})
